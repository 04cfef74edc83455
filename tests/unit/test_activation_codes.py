"""Activation codes as GSMA SGP.22 writes them, and ICCIDs."""

from __future__ import annotations

import pytest

from services.activation_codes import (
    InvalidActivationCode,
    InvalidIccid,
    build_activation_code,
    iccid_warnings,
    last_four,
    normalise_iccid,
    parse_activation_code,
)

HOST = "SMDP.EXAMPLE.COM"
MATCHING_ID = "04386-AGYFT-A74Y8-3F815"
OID = "1.3.6.1.4.1.31746"


@pytest.mark.parametrize(
    ("text", "matching_id", "oid", "confirmation_required"),
    [
        (f"1${HOST}${MATCHING_ID}", MATCHING_ID, "", False),
        (f"1${HOST}${MATCHING_ID}$$1", MATCHING_ID, "", True),
        (f"1${HOST}${MATCHING_ID}${OID}$1", MATCHING_ID, OID, True),
        (f"1${HOST}${MATCHING_ID}${OID}", MATCHING_ID, OID, False),
        (f"1${HOST}$${OID}", "", OID, False),
        (f"1${HOST}$", "", "", False),
        (f"1${HOST}${MATCHING_ID}$$1$later$fields", MATCHING_ID, "", True),
    ],
)
@pytest.mark.parametrize("prefix", ["", "LPA:", "lpa:"])
def test_a_good_code_is_taken_apart_and_put_together_again(
    prefix: str, text: str, matching_id: str, oid: str, confirmation_required: bool
) -> None:
    code = parse_activation_code(f"{prefix}{text}\n")

    assert (code.smdp_address, code.matching_id, code.oid) == (HOST, matching_id, oid)
    assert code.confirmation_required is confirmation_required
    assert code.lpa == f"LPA:{text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1$",
        f"1${HOST}",
        "LPA:1$",
        f"2${HOST}${MATCHING_ID}",
        f"1$localhost${MATCHING_ID}",
        f"1$-smdp.example.com${MATCHING_ID}",
        f"1$smdp..example.com${MATCHING_ID}",
        f"1${HOST}$04386 AGYFT",
        f"1${HOST}${MATCHING_ID}$$2",
        f"1${HOST}${MATCHING_ID}$1..3",
        f"1${HOST}${MATCHING_ID}é",
        f"1${HOST}${'A' * 260}",
        "https://smdp.example.com/",
    ],
)
def test_a_bad_code_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidActivationCode) as caught:
        parse_activation_code(text)

    assert MATCHING_ID not in str(caught.value)


def test_the_case_of_a_matching_id_is_kept() -> None:
    assert build_activation_code("smdp.example.com", "aB-c").lpa == "LPA:1$smdp.example.com$aB-c"


def test_a_confirmation_code_is_announced_and_not_part_of_the_text() -> None:
    assert (
        build_activation_code("smdp.example.com", "A", confirmation_required=True).lpa == "LPA:1$smdp.example.com$A$$1"
    )


def test_parts_with_a_dollar_make_no_code() -> None:
    with pytest.raises(InvalidActivationCode):
        build_activation_code("smdp.example.com", "A B")


def test_an_activation_code_does_not_print_itself() -> None:
    code = build_activation_code("smdp.example.com", MATCHING_ID)

    assert MATCHING_ID not in repr(code)
    assert MATCHING_ID not in f"{code}"


def test_an_iccid_is_cleaned() -> None:
    assert normalise_iccid(" 8944 5385 3200 8160 222F ") == "8944538532008160222"
    assert last_four("8944538532008160222") == "0222"


@pytest.mark.parametrize("text", ["", "8944", "894453853200816022X", "8" * 23])
def test_what_is_no_iccid_is_refused(text: str) -> None:
    with pytest.raises(InvalidIccid):
        normalise_iccid(text)


@pytest.mark.parametrize(
    "iccid",
    [
        "89852245280001354019",
        "89852000263213655345",
        "89852245280001138065",
        "8943108170001029631",
        "8944538532008160222",
        "8997212330099025334",
        "8999900000000000014",
    ],
)
def test_a_usual_iccid_gives_no_warning(iccid: str) -> None:
    assert iccid_warnings(iccid) == []


@pytest.mark.parametrize(
    "iccid",
    [
        "8944465400003573253",
        "8910300000005271146",
        "8997250230000292199",
        "89852000263413436720",
        "89852246280001113119",
    ],
)
def test_a_wrong_check_digit_is_only_a_warning(iccid: str) -> None:
    assert normalise_iccid(iccid) == iccid
    assert iccid_warnings(iccid) == ["has a wrong check digit"]


def test_an_unusual_iccid_is_told_apart() -> None:
    assert iccid_warnings("120000000000000000") == [
        "does not start with 89",
        "is not 19 or 20 digits long",
        "has a wrong check digit",
    ]
