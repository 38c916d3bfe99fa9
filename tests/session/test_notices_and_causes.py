"""What backstay says of itself, and why a connection was lost: one row each, and what the rows promise."""

from __future__ import annotations

import pytest
from speech import VERSIONS

from backstay.metrics.blocks import CONNECT_FAILURE_REASONS, DISCONNECT_REASONS
from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.errors import ErrorMessage, read_error, write_error
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.causes import CAUSES, Cause
from backstay.session.notices import NO_ID, SPEAKER, Notice

ENDS_NOTHING = {
    Notice.CHANGE_NOT_SENT,
    Notice.CANCEL_NOT_SENT,
    *(notice for notice in Notice if notice.name.endswith("IN_DOUBT")),
    Notice.ORDER_OVER,
}
"""Said on the id of an order that may live: any other code makes clients take it for cancelled."""


@pytest.mark.parametrize("notice", Notice, ids=lambda notice: notice.name)
@pytest.mark.parametrize("detail", ["", "eof", "\N{EURO SIGN} {0} {x} \0 \x01", "x" * 5000])
def test_every_text_says_who_speaks_and_can_be_written_in_every_version(notice, detail):
    text = notice.text(detail)
    assert text.startswith(SPEAKER + " ")
    assert SPEAKER == "backstay:"
    for version in VERSIONS:
        data = write_error(ErrorMessage(NO_ID, notice.value.code, text), version)
        told = read_error(data[PREFIX_BYTES:], version)
        assert told is not None
        assert (told.id, told.code) == (NO_ID, notice.value.code)
        assert told.text.startswith(SPEAKER)


@pytest.mark.parametrize("notice", Notice, ids=lambda notice: notice.name)
def test_a_code_of_the_warning_band_is_used_where_an_order_may_live_and_nowhere_else(notice):
    assert is_warning(notice.value.code) == (notice in ENDS_NOTHING)


def test_only_an_order_that_never_left_or_never_arrived_is_ended():
    assert [notice for notice in Notice if notice.value.code == 201] == [Notice.ORDER_NOT_SENT, Notice.ORDER_UNKNOWN]
    assert Notice.NOT_SENT.value.code == Notice.HALF_ANSWER.value.code == 504


def test_codes_in_the_band_are_not_those_tws_uses_for_something_else():
    for notice in ENDS_NOTHING:
        info = code_info(notice.value.code)
        assert info.group is CodeGroup.INFORMATIONAL
        assert info.meaning == "a warning; concludes nothing", "no row of its own: nobody else says it"
    codes = [notice.value.code for notice in ENDS_NOTHING]
    assert len(codes) == len(set(codes))


def test_an_outage_has_the_codes_of_one_between_tws_and_ib():
    assert (Notice.GATEWAY_LOST.value.code, Notice.GATEWAY_BACK.value.code) == (1100, 1102)


@pytest.mark.parametrize("cause", Cause, ids=lambda cause: cause.name)
def test_every_cause_has_a_row_that_metrics_and_people_can_use(cause):
    row = cause.row
    assert row.connect_reason in CONNECT_FAILURE_REASONS
    assert row.disconnect_reason in DISCONNECT_REASONS
    assert row.sentence
    assert row.tws_code in (-1, 326, 502, 504, 506, 507, 1100, 1300)
    assert row.floor.seconds >= 0.0
    assert row.floor.after >= 1
    assert cause.value == cause.name.lower()


def test_the_table_of_causes_is_complete():
    assert set(CAUSES) == set(Cause)


def test_the_floors_are_those_that_were_decided():
    floors = {cause: cause.row.floor for cause in Cause if cause.row.floor.seconds}
    assert {cause: (floor.seconds, floor.after) for cause, floor in floors.items()} == {
        Cause.REJECTED: (30.0, 4),
        Cause.NOT_TWS: (30.0, 1),
        Cause.VERSION: (60.0, 1),
        Cause.REDIRECTED: (5.0, 1),
        Cause.DIALOG: (60.0, 1),
        Cause.NOT_STARTED: (5.0, 1),
        Cause.CLIENT_ID_TAKEN: (5.0, 1),
    }
