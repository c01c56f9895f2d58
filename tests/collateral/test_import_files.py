"""Whole files into a real database: all or nothing, and twice is once."""

import csv
import io
from datetime import UTC, datetime

import openpyxl
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collateral.bindings import load
from collateral.contacts import book as contact_book
from collateral.contacts import store as contact_store
from collateral.contacts.cipher import ContactCipher
from collateral.domain import Payment
from collateral.imports.file import ImportOptions, import_file
from collateral.loans.book import record_payment
from collateral.org.tree import save_unit
from collateral.vin import with_check_digit
from core.clock import to_ms
from core.errors import Misconfigured, Rejected

VIN, VIN2 = "LSVAU218XN2183294", "1M8GDM9AXKP042788"
NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)
CIPHER = ContactCipher(Fernet.generate_key().decode())
OPTIONS = ImportOptions(at=NOON, cipher=CIPHER)

FILES = {
    "vehicles": [
        ["车架号", "车牌号", "发动机号", "品牌", "年款", "初次登记日期", "使用性质", "排放标准", "抵押人编号"],
        [VIN, "沪A·12345", "ea888-1", "大众", "2022款", "2022年3月1日", "非营运", "国六b", "P1"],
        [VIN2, "粤BD12345", "", "MCI", "1989", "1990/5/6", "营运", "", ""],
    ],
    "loans": [
        ["合同号", "车架号", "客户编号", "担保方式", "贷款本金（万元）", "贷款余额", "逾期天数", "下次还款日", "合同状态", "数据日期"],
        ["HT-1", VIN, "P1", "抵押", "12.5", "¥98,765.43", "3", "2026-11-20", "逾期", "2026-11-01 18:00"],
        ["HT-2", VIN2, "P2", "质押", "8", "80000", "0", "2026/12/1", "正常", "2026-11-01 18:00"],
    ],
    "devices": [
        ["设备号", "车架号", "供电方式", "安装日期", "ICCID"],
        ["868120303960871", VIN, "有线", "2025-01-02", "89860012345678901234"],
        ["868120303960872", VIN, "无线", "", ""],
        ["868120303960873", "", "有线", "", ""],
    ],
    "contacts": [
        ["客户编号", "别名", "手机号", "地址", "关系", "是否第三方"],
        ["P1", "甲", "138 0013 8000", "上海市黄浦区人民大道1号", "本人", "否"],
        ["P2", "乙", "13900139000", "", "配偶", "是"],
    ],
}  # fmt: skip
TABLES = ("vehicle", "loan", "device", "device_binding", "party", "contact", "domain_event")


def csv_file(path, rows, encoding="utf-8"):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def xlsx_file(path, rows):
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append([cell or None for cell in row])
    book.save(path)
    book.close()
    return path


def everything(db):
    return {
        table: db.execute(f"SELECT row_to_json({table})::text FROM {table} ORDER BY 1").fetchall()
        for table in TABLES
    }


def import_all(db, tmp_path, write=csv_file):
    return {
        kind: import_file(db, kind, write(tmp_path / kind, rows), OPTIONS) for kind, rows in FILES.items()
    }


def as_csv_in(encoding):
    return lambda path, rows: csv_file(path, rows, encoding)


@pytest.mark.parametrize("write", [csv_file, as_csv_in("utf-8-sig"), as_csv_in("gb18030"), xlsx_file])
def test_the_four_files_are_imported_from_every_format(db, tmp_path, write):
    reports = import_all(db, tmp_path, write)
    assert {kind: (r.inserted, r.updated, r.unchanged, r.errors) for kind, r in reports.items()} == {
        "vehicles": (2, 0, 0, []), "loans": (2, 0, 0, []), "devices": (3, 0, 0, []), "contacts": (3, 0, 0, []),
    }  # fmt: skip
    assert db.execute(
        "SELECT plate, engine_number, use_character, emission_stage, first_registration::text, model_year"
        " FROM vehicle WHERE vehicle_id = %s",
        (VIN,),
    ).fetchone() == ("沪A12345", "EA888-1", "non_commercial", "cn6b", "2022-03-01", 2022)
    assert db.execute(
        "SELECT loan_id, principal_minor, balance_minor, days_past_due, status, collateral_form, snapshot_at"
        " FROM loan ORDER BY 1"
    ).fetchall() == [
        ("HT-1", 12_500_000, 9_876_543, 3, "overdue", "mortgage", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("HT-2", 8_000_000, 8_000_000, 0, "active", "pledge", datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ]
    bound = load(db)
    assert bound.vehicle_at("868120303960871", 0) == bound.vehicle_at("868120303960872", 0) == VIN
    assert bound.device("868120303960873") is not None
    contacts = contact_store.contacts_of(db, ["P1", "P2"])
    assert [(c.party_id, c.kind, c.third_party) for c in contacts] == [
        ("P1", "address", False), ("P1", "phone", False), ("P2", "phone", True),
    ]  # fmt: skip
    assert contact_book.parties_sharing(db, CIPHER, "phone", "13800138000") == ["P1"]


def test_a_second_import_changes_nothing(db, tmp_path):
    import_all(db, tmp_path)
    before = everything(db)
    again = import_all(db, tmp_path, xlsx_file)
    assert all((r.inserted, r.updated) == (0, 0) and r.ok for r in again.values())
    assert [again[kind].unchanged for kind in FILES] == [2, 2, 3, 3]
    assert everything(db) == before


def test_english_headers_and_words_mean_the_same(db, tmp_path):
    import_file(db, "vehicles", csv_file(tmp_path / "v", FILES["vehicles"]), OPTIONS)
    rows = [
        ["loan_id", "VIN", "collateral form", "balance_minor", "currency", "dpd", "status", "snapshot_at"],
        ["L-1", VIN.lower(), "lease_back", "5000", "cny", "0", "active", "2026-11-01T00:00:00Z"],
    ]
    report = import_file(db, "loans", csv_file(tmp_path / "l", rows), OPTIONS)
    assert (report.inserted, report.errors) == (1, [])
    assert db.execute("SELECT balance_minor, collateral_form FROM loan").fetchone() == (5_000, "lease_back")


def test_a_changed_cell_is_an_update_and_an_empty_one_keeps_what_is_stored(db, tmp_path):
    import_all(db, tmp_path)
    rows = [FILES["vehicles"][0], [VIN, "沪A67890", "", "", "", "", "", "", ""]]
    report = import_file(db, "vehicles", csv_file(tmp_path / "v", rows), OPTIONS)
    assert (report.updated, report.unchanged) == (1, 0)
    assert db.execute("SELECT plate, make, version FROM vehicle WHERE vin = %s", (VIN,)).fetchone() == (
        "沪A67890", "大众", 2,
    )  # fmt: skip


def test_an_older_snapshot_is_ignored_and_counted(db, tmp_path):
    import_all(db, tmp_path)
    header, first, second = FILES["loans"]
    older = [*first[:-1], "2026-10-01 18:00"]
    newer = [*second[:5], "70000", *second[6:-1], "2026-11-02 18:00"]
    report = import_file(db, "loans", csv_file(tmp_path / "l", [header, older, newer]), OPTIONS)
    assert (report.stale, report.updated) == (1, 1)
    assert db.execute("SELECT balance_minor FROM loan ORDER BY loan_id").fetchall() == [
        (9_876_543,),
        (7_000_000,),
    ]


def test_a_loan_file_imported_again_does_not_undo_a_payment(db, tmp_path):
    import_all(db, tmp_path)
    record_payment(db, Payment("pay-1", "HT-2", 1_000_000, "CNY", NOON))
    import_file(db, "loans", csv_file(tmp_path / "l", FILES["loans"]), OPTIONS)
    assert db.execute("SELECT balance_minor FROM loan WHERE loan_id = 'HT-2'").fetchone() == (7_000_000,)


def test_a_faulty_file_leaves_nothing_and_names_every_fault_by_line(db, tmp_path):
    save_unit(db, "east", "华东")
    before = everything(db)
    rows = [
        ["车架号", "车牌号", "初次登记日期", "所属机构", "年款"],
        ["LSVAU218XN2183294", "沪A12345", "2022-03-01", "华东", "2022"],
        ["LSVAU2181N2183294", "沪A12345", "2022-03-01", "", ""],
        ["LSVAU218XN2183294", "沪A1234", "2022-02-30", "", ""],
        ["", "沪A12345", "", "", ""],
        ["1M8GDM9AXKP042788", "", "", "月球", "二零"],
        ["1M8GDM9AXKP042788", ""],
        ["LSVAU218XN2183294", "", "", "east", ""],
    ]
    report = import_file(db, "vehicles", csv_file(tmp_path / "v.csv", rows), OPTIONS)
    assert [(fault.line, fault.column, fault.code) for fault in report.errors] == [
        (3, "车架号", "bad_vin_check_digit"),
        (4, "初次登记日期", "bad_date"),
        (4, "车牌号", "bad_plate"),
        (5, "车架号", "missing_value"),
        (6, "年款", "bad_year"),
        (7, "", "wrong_column_count"),
        (8, "车架号", "duplicate_key"),
    ]
    assert not report.ok
    assert (report.inserted, report.updated) == (0, 0)
    assert everything(db) == before


FAULTY = [
    ("vehicles", [["车牌号"], ["沪A12345"]], (1, "missing_column")),
    ("vehicles", [["vehicle_id", "vin", "branch"], ["x", "", "moon"]], (2, "unknown_org_unit")),
    ("vehicles", [["vehicle_id", "vin"], ["other", VIN]], (2, "vin_taken")),
    ("vehicles", [["vehicle_id"], ["a"], ["b"], ["a"]], (4, "duplicate_key")),
    ("loans", [["合同号", "车架号", "余额", "数据日期"], ["A", "nobody", "1", "2026-01-01"]], (2, "unknown_vehicle")),
    ("loans", [["合同号", "车架号", "余额", "数据日期"], ["A", VIN, "1,23", "2026-01-01"]], (2, "bad_amount")),
    ("loans", [["合同号", "车架号", "余额", "数据日期"], ["A", VIN, "-5", "2026-01-01"]], (2, "bad_amount")),
    ("loans", [["合同号", "车架号", "余额", "数据日期"], ["A", VIN, "5", ""]], (2, "missing_value")),
    ("loans", [["loan id", "vin", "balance", "balance minor", "as of"], ["A", VIN, "5", "5", "2026-01-01"]],
     (2, "given_twice")),
    ("loans", [["合同号", "车架号", "余额", "数据日期", "币种"], ["HT-1", VIN, "5", "2026-12-01", "USD"]],
     (2, "currency_mismatch")),
    ("loans", [["合同号", "车架号", "余额", "数据日期"], *[["A", VIN, "1", "2026-01-01"]] * 2], (3, "duplicate_key")),
    ("devices", [["设备号"], ["a/b"]], (2, "bad_device_id")),
    ("devices", [["设备号"], ["d1"], ["d1"]], (3, "duplicate_key")),
    ("devices", [["设备号", "供电方式"], ["d1", "太阳能"]], (2, "unknown_word")),
    ("devices", [["设备号", "车架号", "安装日期"], ["d0", "", ""], ["868120303960871", VIN2, "2020-01-01"],
                 ["868120303960871x", VIN2, "无"]], (4, "bad_date")),
    ("contacts", [["客户编号", "手机号"], ["P1", "call me"]], (2, "bad_contact")),
    ("contacts", [["客户编号", "联系方式"], ["P1", "13800138000"]], (2, "missing_value")),
    ("contacts", [["客户编号", "手机号", "微信"], ["P9", "13800138000", "wxid_1"], ["P9", "+8613800138000", ""]],
     (3, "duplicate_key")),
]  # fmt: skip


def test_each_kind_of_fault_is_found_and_stores_nothing(db, tmp_path):
    import_all(db, tmp_path)
    db.commit()
    before = everything(db)
    for kind, rows, fault in FAULTY:
        report = import_file(db, kind, csv_file(tmp_path / "bad", rows), OPTIONS)
        assert [(one.line, one.code) for one in report.errors] == [fault], rows
        assert everything(db) == before, rows


def test_a_move_that_is_out_of_order_takes_the_whole_file_back(db, tmp_path):
    import_all(db, tmp_path)
    moves = [["设备号", "车架号", "安装日期"], ["868120303960871", VIN2, "2026-10-01"]]
    assert import_file(db, "devices", csv_file(tmp_path / "d", moves), OPTIONS).updated == 1
    before = everything(db)
    back = [["设备号", "车架号", "安装日期"], ["new-one", VIN, ""], ["868120303960871", VIN, "2026-09-01"]]
    report = import_file(db, "devices", csv_file(tmp_path / "d", back), OPTIONS)
    assert [(fault.line, fault.code) for fault in report.errors] == [(3, "binding_out_of_order")]
    assert everything(db) == before
    bound = load(db)
    assert bound.vehicle_at("868120303960871", to_ms(datetime(2026, 9, 30, tzinfo=UTC))) == VIN
    assert bound.vehicle_at("868120303960871", to_ms(NOON)) == VIN2


def test_a_faulty_file_is_not_stored_even_when_the_caller_commits(db, tmp_path):
    rows = [["设备号", "车架号"], ["d1", ""], ["d1", ""]]
    import_file(db, "devices", csv_file(tmp_path / "d", rows), OPTIONS)
    db.commit()
    assert db.execute("SELECT count(*) FROM device").fetchone() == (0,)


def test_what_is_not_a_file_of_ours_is_said(db, tmp_path):
    [fault] = import_file(db, "vehicles", tmp_path / "nowhere", OPTIONS).errors
    assert (fault.line, fault.code) == (0, "file_not_readable")
    with pytest.raises(Rejected):
        import_file(db, "spoons", tmp_path / "nowhere", OPTIONS)
    with pytest.raises(Misconfigured):
        import_file(db, "contacts", csv_file(tmp_path / "c", FILES["contacts"]))


letters = st.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=16, max_size=16)
vehicles = st.lists(
    st.tuples(letters.map(lambda text: with_check_digit("L" + text)), st.sampled_from(["大众", "BYD", 'a "b", c', ""])),
    min_size=1, max_size=8, unique_by=lambda row: row[0],
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vehicles, st.sampled_from([csv_file, as_csv_in("gb18030"), xlsx_file]))
def test_whatever_was_written_is_read_back(db, tmp_path, rows, write):
    db.rollback()
    report = import_file(
        db, "vehicles", write(tmp_path / "file", [["VIN", "品牌"], *map(list, rows)]), OPTIONS
    )
    assert report.inserted == len(rows)
    assert dict(db.execute("SELECT vin, coalesce(make, '') FROM vehicle").fetchall()) == dict(rows)
