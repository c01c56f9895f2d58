"""One person under several names of an actor is one pair of eyes."""

import pytest

from collateral.staff import access
from collateral.staff.persons import person_of, same_person


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user:anna", "token:3:anna"),
        ("token:3:anna", "token:44:anna"),
        ("token:3:Anna ", "user:anna"),
        ("token:3:ａｎｎａ", "user:anna"),
        ("link:disposal", "link:disposal"),
        ("token:3:a:b", "token:4:a:b"),
    ],
)
def test_a_session_and_tokens_of_one_name_are_one_person(one: str, other: str):
    assert same_person(one, other)
    assert same_person(other, None, "user:somebody", one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user:anna", "user:bert"),
        ("token:3:anna", "token:3:bert"),
        ("link:disposal", "link:admin"),
        ("system:auction", "system:recovery"),
        ("anna", "user:anna"),
        ("drafter", "submitter"),
    ],
)
def test_people_of_different_names_are_two(one: str, other: str):
    assert not same_person(one, other)


def test_nobody_is_the_same_person_as_nobody():
    assert not same_person("user:anna", None)
    assert person_of("system:auction") == "system:auction"


def test_two_tokens_that_nobody_named_are_two_people(db):
    found = [access.principal_of_token(db, access.create_token(db, "disposal")) for _ in range(2)]
    one, other = (principal.actor for principal in found if principal is not None)
    assert not same_person(one, other)
    assert ":disposal-" in one
