import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol import codes
from backstay.protocol.codes import (
    CODES,
    FARM_CODES,
    METRIC_CATEGORIES,
    WARNING_BAND,
    About,
    CodeGroup,
    FarmKind,
    FarmState,
    code_info,
    farm_name,
    is_pacing,
    is_warning,
    metric_category,
    moved_port,
)


def test_codes_are_unique_and_in_order():
    numbers = [row[0] for row in codes._TABLE]
    assert numbers == sorted(set(numbers))
    assert len(CODES) == len(numbers)


def test_each_row_is_found_under_its_code():
    for code, group, about, meaning in codes._TABLE:
        assert code_info(code) == codes.Code(code, meaning, group, about)
        assert 0 < len(meaning) < 100


@pytest.mark.parametrize("row", codes._RANGES, ids=lambda row: str(row[0]))
def test_a_range_answers_for_the_codes_without_a_row(row):
    low, high, group, _, meaning = row
    assert low < high
    strangers = [code for code in range(low, high + 1) if code not in CODES]
    assert strangers
    for code in strangers:
        assert (code_info(code).group, code_info(code).meaning, code_info(code).code) == (group, meaning, code)


def test_ranges_do_not_overlap():
    borders = [border for low, high, *_ in codes._RANGES for border in (low, high)]
    assert borders == sorted(borders)


@given(st.integers())
def test_any_number_has_a_meaning_and_a_category(code):
    assert code_info(code).code == code
    assert metric_category(code) in METRIC_CATEGORIES


def test_the_warning_band_is_2100_to_2169():
    assert [code for code in range(2000, 2300) if is_warning(code)] == list(range(2100, 2170)) == list(WARNING_BAND)


def test_an_unknown_code_of_the_band_is_a_notice():
    strangers = set(WARNING_BAND) - set(CODES)
    assert strangers
    assert {code_info(code).group for code in strangers} == {CodeGroup.INFORMATIONAL}


def test_farm_codes_are_the_farm_status_group():
    assert set(FARM_CODES) == {code for code, info in CODES.items() if info.group is CodeGroup.FARM_STATUS}
    assert FARM_CODES[2103] == (FarmKind.MARKET, FarmState.DOWN)
    assert FARM_CODES[2107] == (FarmKind.HISTORICAL, FarmState.IDLE)
    assert {kind for kind, _ in FARM_CODES.values()} == set(FarmKind)
    assert {state for _, state in FARM_CODES.values()} == set(FarmState)


@pytest.mark.parametrize(
    ("code", "group", "about"),
    [
        (1100, CodeGroup.CONNECTION_LOST, About.CONNECTION),
        (1101, CodeGroup.RESTORED_DATA_LOST, About.CONNECTION),
        (1102, CodeGroup.RESTORED_DATA_KEPT, About.CONNECTION),
        (326, CodeGroup.CLIENT_ID, About.CONNECTION),
        (202, CodeGroup.INFORMATIONAL, About.ORDER),
        (100, CodeGroup.PACING, About.ANY),
        (540, CodeGroup.LOCAL_SEND, About.ANY),
        (320, CodeGroup.FATAL, About.ANY),
        (333, CodeGroup.REJECTED, About.ORDER),
    ],
)
def test_the_codes_that_drive_a_connection(code, group, about):
    assert (code_info(code).group, code_info(code).about) == (group, about)


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (1100, "connectivity"), (1300, "connectivity"), (326, "connectivity"),
        (502, "connectivity"), (504, "connectivity"),
        (507, "connectivity"), (10197, "connectivity"), (2110, "connectivity"), (2104, "farm"), (2158, "farm"),
        (100, "pacing"), (354, "permission"), (10189, "permission"), (200, "contract"), (201, "order"), (202, "order"),
        (333, "order"), (10147, "order"), (162, "historical"), (10182, "historical"), (321, "other"), (2172, "other"),
        (99999, "other"),
    ],
)  # fmt: skip
def test_codes_are_counted_under_a_few_labels(code, category):
    assert metric_category(code) == category


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (100, "", True),
        (162, "Pacing violation", True),
        (162, "no data", False),
        (420, "pacing", True),
        (200, "pacing", False),
    ],
)
def test_pacing_is_told_by_code_and_text(code, text, expected):
    assert is_pacing(code, text) is expected


@pytest.mark.parametrize(
    ("text", "name"),
    [("farm state text:usfarm", "usfarm"), ("a:b: eufarm ", "eufarm"), ("no name", None), ("empty:", None)],
)
def test_the_farm_is_named_behind_the_last_colon(text, name):
    assert farm_name(text) == name


@pytest.mark.parametrize(
    ("text", "port"),
    [("port changed - 4002", 4002), ("was 4001, now 7497.", 7497), ("none", None), ("99999", None), ("0", None)],
)
def test_the_new_port_ends_the_text(text, port):
    assert moved_port(text) == port
