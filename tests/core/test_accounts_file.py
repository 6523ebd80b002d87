"""Reading the accounts file: every error at once, each with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.accounts_file import AccountsFile, parse
from transfer.accounts_row import RESELLER_KEYS
from transfer.errors import AccountsFileInvalid
from transfer.parties import Charges, CustomerRecord, Person, ResellerRecord

GOOD = """\
[[resellers]]
id = "acme"                    # stable
name = "Acme Hosting"
aliases = ["ACME", "Acme Hosting Ltd"]
status = "suspended"
billing_account = "BA-100"
administrators = [{id = "ann", name = "Ann Old", email = "ann@acme.example"}]

[[customers]]
id = "C-1001"
name = "Example Ltd"
domains = ["Example.com.", "exämple.example"]
reseller = "acme"
plan = "business"
price = "12.50"
currency = "EUR"
billed_from = 2026-01-01T00:00:00+01:00
legal_hold = true
administrators = [{id = "carl", name = "Carl Customer", email = "carl@example.com"}, {id = "eve"}]
"""
_RESELLER_CELLS = {
    "kind": "reseller",
    "id": "acme",
    "name": "Acme Hosting",
    "aliases": "ACME; Acme Hosting Ltd",
    "status": "suspended",
    "billing_account": "BA-100",
    "administrators": "ann|Ann Old|ann@acme.example",
}
_CUSTOMER_CELLS = {
    "kind": "customer",
    "id": "C-1001",
    "name": "Example Ltd",
    "domains": "Example.com.; exämple.example",
    "reseller": "acme",
    "plan": "business",
    "price": "12.50",
    "currency": "EUR",
    "billed_from": "2026-01-01T00:00:00+01:00",
    "legal_hold": "yes",
    "administrators": "carl|Carl Customer|carl@example.com;eve",
}
_COLUMNS = list(dict.fromkeys([*_RESELLER_CELLS, *_CUSTOMER_CELLS]))
GOOD_CSV = "\n".join(
    [
        ",".join(_COLUMNS),
        ",".join(_RESELLER_CELLS.get(column, "") for column in _COLUMNS),
        "",
        ",".join(f'"{_CUSTOMER_CELLS.get(column, "")}"' for column in _COLUMNS),
        "",
    ]
)
RECORDS = (
    ResellerRecord(
        id="acme",
        name="Acme Hosting",
        aliases=("ACME", "Acme Hosting Ltd"),
        suspended=True,
        billing_account="BA-100",
        administrators=(Person(id="ann", name="Ann Old", email="ann@acme.example"),),
    ),
    CustomerRecord(
        id="C-1001",
        name="Example Ltd",
        domains=("example.com", "xn--exmple-cua.example"),
        reseller="acme",
        charges=Charges(plan="business", price=Decimal("12.50"), currency="EUR"),
        billed_from=datetime(2025, 12, 31, 23, tzinfo=UTC),
        legal_hold=True,
        administrators=(
            Person(id="carl", name="Carl Customer", email="carl@example.com"),
            Person(id="eve"),
        ),
    ),
)


def errors_of(source: str | bytes, filename: str = "accounts.toml") -> list[str]:
    """All that is wrong with a file."""
    with pytest.raises(AccountsFileInvalid) as refused:
        parse(source, filename)
    assert str(refused.value) == "\n".join(refused.value.errors)
    return refused.value.errors


@pytest.mark.parametrize(
    ("source", "name", "lines"),
    [(GOOD, "f.toml", (1, 9)), (GOOD_CSV, "f.CSV", (2, 4)), ("\ufeff" + GOOD, "f", (1, 9))],
)
def test_toml_and_csv_say_the_same(source: str, name: str, lines: tuple[int, int]) -> None:
    """Both forms hold everything; text or bytes, with or without a byte order mark."""
    for form in (source, source.encode(), source.replace("\n", "\r\n").encode()):
        file = parse(form, name)
        assert (*file.resellers, *file.customers) == RECORDS
        assert file.lines == {"acme": lines[0], "C-1001": lines[1]}
        assert file.where("acme") == f"line {lines[0]}: "
        assert file.where("nobody") == ""


def test_an_empty_file_holds_nothing() -> None:
    """Nothing to load is no error."""
    assert parse("") == AccountsFile()
    assert parse("", "f.csv") == AccountsFile()


def test_the_smallest_reseller_and_customer_have_defaults() -> None:
    """What need not be written is active, free of holds, and has no administrators."""
    file = parse(
        '[[resellers]]\nid = "acme"\nname = "Acme"\n[[customers]]\nid = "C"\nname = "C"\n'
        'domains = ["c.example"]\nreseller = "x"\nplan = "p"\nprice = 0\ncurrency = "EUR"\n'
        "billed_from = 2026-01-01T00:00:00Z\n"
    )
    assert file.resellers == (ResellerRecord(id="acme", name="Acme"),)
    (customer,) = file.customers
    assert not any((customer.suspended, customer.terminating, customer.legal_hold))
    assert customer.charges.price == 0


def test_all_errors_come_at_once_each_with_its_line_and_remedy() -> None:
    """One run shows everything there is to mend."""
    source = dedent(
        """\
        [[resellers]]
        id = "acme"
        nmae = "Acme"
        status = "actve"

        [[resellers]]
        id = "acme"
        name = "Other"
        aliases = ["ACME"]
        [[resellers]]
        id = "glo bex"
        name = 7
        aliases = "Globex"
        administrators = [{id = "a", mail = "x"}, {id = "a", email = "not a mail"}, "joe"]

        [[customers]]
        id = "staff"
        name = ""
        domains = ["http://example.com", "ok.example", 7]
        reseller = "acme"
        status = "active"
        price = "12,50"
        currency = "euro"
        billed_from = 2026-01-01T00:00:00
        legal_hold = "maybe"

        [[custmers]]
        id = "x"
        """
    )
    assert errors_of(source) == [
        "line 1: name is missing. Add it.",
        'line 3: "nmae" is unknown. Did you mean name?',
        'line 4: status "actve" is unknown. Write one of: active, suspended.',
        'line 7: "acme" is taken on line 1. Give each its own id.',
        "line 11: an id has 1 to 64 characters and no spaces.",
        'line 12: name is not text. Put it in quotes, like "7".',
        "line 13: aliases is not a list. Put it in brackets, like [...].",
        'line 14: "mail" is unknown. Did you mean email?',
        'line 14: "not a mail" is not a mail address. Write it like ann@acme.example.',
        'line 14: administrator "a" is there twice. Drop one.',
        'line 14: an administrator is no table. Write {id = "…", name = "…", email = "…"}.',
        "line 16: plan is missing. Add it.",
        'line 17: "staff" is the desk\'s own account. Choose another id.',
        "line 18: name is empty. Fill it in.",
        "line 19: '7' lacks its ending. Give the whole domain name.",
        "line 19: 'http://example.com' is not a domain name. "  # noqa: ISC004
        "Give one like example.com, without http://.",
        "line 22: price '12,50' is not an amount. Write it like \"12.50\".",
        'line 23: currency "euro" is not a code. Write it like "EUR".',
        "line 24: billed_from has no time zone. Add Z for UTC, like 2026-01-01T00:00:00Z.",
        "line 25: legal_hold is neither true nor false. Write one of them.",
        'line 27: "custmers" is unknown. Did you mean customers?',
    ]


def test_ids_domains_and_names_must_lead_to_one_account() -> None:
    """Across the whole file; the same name for two resellers is allowed, for it leads to none."""
    source = dedent(
        """\
        kind,id,name,aliases,domains,reseller,plan,price,currency,billed_from
        reseller,acme,Twin,ACME;acme,,,,,,
        reseller,globex,Twin,"Glob; acme.",,,,,,
        reseller,hooli,Hooli,GLOB,,,,,,
        customer,C-1,One,,one.example; ONE.example,acme,p,1,EUR,2026-01-01T00:00:00Z
        customer,C-2,Two,,two.example;One.Example.,acme,p,1,EUR,2026-01-01T00:00:00Z
        customer,acme,Three,,three.example,acme,p,1,EUR,2026-01-01T00:00:00Z
        """
    )
    assert errors_of(source, "f.csv") == [
        'line 3: "acme." also names the reseller on line 2. Drop one.',
        'line 4: "GLOB" also names the reseller on line 3. Drop one.',
        'line 6: "one.example" is on line 5, too. It has one owner.',
        'line 7: "acme" is taken on line 2. Give each its own id.',
    ]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("[[resellers]\n", "line 1: not TOML: "),
        ('[[resellers]]\nid = "a"\nid = "b"\n', "line 3: not TOML: "),
        ("a = [\n1,\n", "line 3: not TOML: "),
        (b"[[resellers]]\nname = '\xff'\n", "line 2: not UTF-8. Save the file as UTF-8."),
        ("# x\nresellers = 7\n", "line 2: write [[resellers]] and its keys below it."),
        ("\n[customers]\nid = 'x'\n", "line 2: write [[customers]] and its keys below it."),
        ("resellers = [\n7]\n", "line 1: write [[resellers]] and its keys below it."),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_line(source: str | bytes, error: str) -> None:
    """The first thing to mend, and where."""
    assert errors_of(source)[0].startswith(error)


@pytest.mark.parametrize(
    ("source", "errors"),
    [
        ("id,name\nx,y\n", ['line 1: column "kind" is missing or twice. Have it once.']),
        ("kind,id,name,id\n", ['line 1: column "id" is missing or twice. Have it once.']),
        ("kind,id,name,staus\n", ['line 1: "staus" is unknown. Did you mean status?']),
        ("kind,id,name\nshop,x,y\n", ['line 2: kind is "shop". Write reseller or customer.']),
        (
            "kind,id,name\nreseller,x,y,z\n",
            ["line 2: more cells than columns. Put quotes around a cell with a comma in it."],
        ),
        (
            "kind,id,name,price\nreseller,x,y,12\n",
            ['line 2: "price" is unknown. Known: ' + ", ".join(RESELLER_KEYS) + "."],
        ),
        (
            "kind,id,name,administrators\nreseller,x,y,a|b|c@d.example|e\n",
            ['line 2: "more" is unknown. Known: id, name, email.'],
        ),
        ('kind,id,name\nreseller,x,"y\n', ["line 2: not CSV: unexpected end of data."]),
    ],
)
def test_a_csv_file_of_another_shape_is_refused_with_the_line(
    source: str, errors: list[str]
) -> None:
    """Columns are known, and a cell that does not apply stays empty."""
    assert errors_of(source, "f.csv") == errors


def test_lines_are_right_beside_texts_that_look_like_keys() -> None:
    """A multi-line text, a sub-table or a comment does not shift them."""
    source = dedent(
        '''\
        # [[resellers]]
        [[resellers]]
        name = """
        [[resellers]]
        id = "no"
        """
        id = "acme"
        [[resellers.administrators]]
        id = "ann"
        email = "wrong"
        [[resellers]]
        id = "globex"
        '''
    )
    assert errors_of(source) == [
        "line 3: name is not one line of at most 200 characters. Shorten it.",
        'line 8: "wrong" is not a mail address. Write it like ann@acme.example.',
        "line 11: name is missing. Add it.",
    ]


def test_tables_in_one_line_are_read_and_reported_by_that_line() -> None:
    """TOML allows it; the line is then that of the key."""
    inline = 'x = 1\nresellers = [{id = "a", name = "A"}, {id = "b"}]\n'
    assert errors_of(inline) == [
        'line 1: "x" is unknown. Known: resellers, customers.',
        "line 2: name is missing. Add it.",
    ]


@pytest.mark.parametrize("price", ["0", "12.50", "999999999.9999", 7])
def test_a_price_is_an_exact_amount(price: str | int) -> None:
    """Text or a number; up to four decimals."""
    written = f'"{price}"' if isinstance(price, str) else str(price)
    source = GOOD.replace('"12.50"', written)
    assert parse(source).customers[0].charges.price == Decimal(price)


def test_a_bare_decimal_price_is_no_float() -> None:
    """TOML's floats would lose digits: they are read as they are written."""
    price = parse(GOOD.replace('"12.50"', "12.10")).customers[0].charges.price
    assert str(price) == "12.10"


@pytest.mark.parametrize(
    "price", ['"-1"', '""', '"NaN"', "inf", "true", '"1e9"', '"1.00001"', "[]"]
)
def test_what_is_no_price_is_refused(price: str) -> None:
    """Negative, not finite, too long, or no number at all."""
    (error,) = errors_of(GOOD.replace('"12.50"', price))
    assert error.startswith("line 15: price ")


@pytest.mark.parametrize(
    "instant", ["2026-01-01", '"soon"', "1", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-05:00"]
)
def test_what_is_no_instant_is_refused(instant: str) -> None:
    """A date alone is a different instant in every time zone."""
    (error,) = errors_of(GOOD.replace("2026-01-01T00:00:00+01:00", instant))
    assert error.startswith("line 17: billed_from ")


@pytest.mark.parametrize(
    "mail",
    [
        "joe",
        "joe@",
        "@x.example",
        "joe@localhost",
        "a b@x.example",
        "a@x.example\\nBcc: b@x.example",
        "a@b@c.example",
        "<a@x.example>",
        "a@x.example.",
    ],
)
def test_what_is_no_mail_address_is_refused(mail: str) -> None:
    """Nothing in it can become a header, or a second recipient."""
    errors = errors_of(GOOD.replace("ann@acme.example", mail))
    assert all(error.startswith("line 7: ") for error in errors)


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([*GOOD.splitlines(), '"""', "[[customers]]", "x = [", "id = 7", "]"])),
    st.sampled_from(["f.toml", "f.csv"]),
)
def test_whatever_is_in_a_file_it_is_read_or_refused_with_lines(
    lines: list[str], name: str
) -> None:
    """No file makes the reader crash."""
    try:
        parse("\n".join(lines), name)
    except AccountsFileInvalid as refused:
        errors = refused.errors
    else:
        return
    assert errors
    assert all(error.startswith("line ") for error in errors)
