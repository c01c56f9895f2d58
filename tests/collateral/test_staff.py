from datetime import timedelta

import pytest

from collateral.domain import Role
from collateral.org import tree
from collateral.org.store import subtree
from collateral.staff import access, people, store
from core.errors import Conflict, NotFound, Rejected

PASSWORD = "a long enough one"


def known(found):
    assert found is not None
    return found


def everything_stored(db):
    return "".join(
        repr(db.execute(f"SELECT row_to_json({table})::text FROM {table}").fetchall())
        for table in ("api_token", "user_session", "sign_in_link", "user_account")
    )


@pytest.fixture
def anna(db):
    people.create_user(db, "Anna", PASSWORD, ["recovery", "disposal"], display_name="安娜")
    return people.sign_in(db, "anna", PASSWORD)


def test_a_token_tells_role_and_branch_and_is_stored_as_a_hash_alone(db):
    token = access.create_token(db, "service", name="scoring")
    asker = known(access.principal_of_token(db, token))
    assert (asker.kind, asker.roles, asker.org_id, asker.name) == ("token", {Role.SERVICE}, "head", "scoring")
    assert token not in everything_stored(db)
    assert access.principal_of_token(db, token + "x") is None


def test_a_revoked_or_expired_token_is_nobody(db):
    revoked = access.create_token(db, "auditor")
    [row] = store.list_tokens(db)
    assert store.revoke_token(db, row.token_id)
    assert not store.revoke_token(db, row.token_id)
    assert access.principal_of_token(db, revoked) is None
    short = access.create_token(db, "auditor", lifetime=timedelta(hours=1))
    assert access.principal_of_token(db, short) is not None
    db.execute("UPDATE api_token SET expires_at = now()")
    assert access.principal_of_token(db, short) is None


def test_tokens_for_unknown_roles_or_branches_are_refused(db):
    with pytest.raises(Rejected):
        access.create_token(db, "king")
    with pytest.raises(NotFound):
        access.create_token(db, "admin", org_id="nowhere")


def test_a_password_signs_in_and_nothing_else_does(db, anna):
    assert anna.roles == ("disposal", "recovery")
    assert people.sign_in(db, "anna", PASSWORD + "!") is None
    assert people.sign_in(db, "anna", "") is None
    assert people.sign_in(db, "nobody", PASSWORD) is None
    assert people.sign_in(db, "nobody", "nobody has this password") is None
    assert people.sign_in(db, "anna", "x" * 1_000_000) is None
    assert PASSWORD not in everything_stored(db)
    assert "$argon2id$" in everything_stored(db)


def test_weak_passwords_bad_logins_and_taken_ones_are_refused(db, anna):
    for password in ("short", "aaaaaaaaaaaaaaaa", "x" * 300):
        with pytest.raises(Rejected) as weak:
            people.create_user(db, "bert", password, ["admin"])
        assert weak.value.code == "weak_password"
    with pytest.raises(Rejected):
        people.create_user(db, "two words", PASSWORD, ["admin"])
    with pytest.raises(Rejected):
        people.create_user(db, "bert", PASSWORD, [])
    with pytest.raises(Conflict):
        people.create_user(db, "ANNA", PASSWORD, ["admin"])


def test_a_session_belongs_to_its_user_until_it_is_closed(db, anna):
    cookie = access.open_session(db, anna)
    asker = known(access.principal_of_session(db, cookie))
    assert (asker.actor, asker.name, asker.roles) == ("user:anna", "安娜", {Role.RECOVERY, Role.DISPOSAL})
    assert asker.csrf_secret
    assert cookie not in everything_stored(db)
    assert access.close_session(db, cookie)
    assert access.principal_of_session(db, cookie) is None


def test_disabling_a_user_or_changing_the_password_ends_the_sessions(db, anna):
    cookie = access.open_session(db, anna)
    people.change_password(db, anna.user_id, "another long one")
    assert access.principal_of_session(db, cookie) is None
    assert people.sign_in(db, "anna", PASSWORD) is None
    again = access.open_session(db, known(people.sign_in(db, "anna", "another long one")))
    assert people.disable_user(db, anna.user_id)
    assert access.principal_of_session(db, again) is None
    assert people.sign_in(db, "anna", "another long one") is None


def test_an_expired_session_is_nobody_and_is_pruned_later(db, anna):
    cookie = access.open_session(db, anna)
    db.execute("UPDATE user_session SET expires_at = now() - interval '31 days'")
    assert access.principal_of_session(db, cookie) is None
    assert store.prune_sessions(db) == 1


def test_a_sign_in_link_works_once_and_not_after_its_time(db):
    link = access.create_sign_in_link(db, "recovery")
    cookie = known(access.redeem_sign_in_link(db, link))
    asker = known(access.principal_of_session(db, cookie))
    assert (asker.kind, asker.roles, asker.actor) == ("link", {Role.RECOVERY}, "link:recovery")
    assert access.redeem_sign_in_link(db, link) is None
    late = access.create_sign_in_link(db, "recovery")
    db.execute("UPDATE sign_in_link SET expires_at = now()")
    assert access.redeem_sign_in_link(db, late) is None
    assert link not in everything_stored(db)


def test_staff_see_their_branch_and_what_is_below_it(db):
    tree.save_unit(db, "east", "华东")
    tree.save_unit(db, "east-1", "华东一部", parent_id="east")
    tree.save_unit(db, "west", "华西")
    assert subtree(db, "east") == ["east", "east-1"]
    assert subtree(db, "head") == ["east", "east-1", "head", "west"]
    assert subtree(db, "nowhere") == []


def test_a_branch_never_hangs_below_itself(db):
    tree.save_unit(db, "east", "华东")
    tree.save_unit(db, "east-1", "华东一部", parent_id="east")
    with pytest.raises(Conflict) as circle:
        tree.save_unit(db, "east", "华东", parent_id="east-1")
    assert circle.value.code == "org_circle"
    with pytest.raises(NotFound):
        tree.save_unit(db, "south", "华南", parent_id="nowhere")
