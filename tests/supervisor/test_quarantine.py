from backstay.supervisor import quarantine as quarantine_module
from backstay.supervisor.quarantine import MAX_CONDEMNED, MAX_SUSPECTS, Quarantine


def die(quarantine: Quarantine, *pieces: bytes) -> bytes | None:
    quarantine.in_hand = lambda: pieces
    return quarantine.blame()


def test_a_piece_is_condemned_with_its_second_death_and_no_other_is():
    quarantine = Quarantine()
    assert not quarantine.wary
    assert die(quarantine, b"a", b"b", b"c") is None
    assert quarantine.wary
    assert not any(quarantine.is_condemned(piece) for piece in (b"a", b"b", b"c"))
    assert die(quarantine, b"b") == b"b"
    assert [quarantine.is_condemned(piece) for piece in (b"a", b"b", b"c", b"d")] == [False, True, False, False]


def test_a_death_with_something_else_in_hand_condemns_nobody():
    quarantine = Quarantine()
    assert die(quarantine, b"a") is None
    assert die(quarantine, b"z") is None
    assert die(quarantine) is None
    assert not quarantine.is_condemned(b"a")
    assert die(quarantine, b"a") == b"a"


def test_what_was_put_down_is_not_to_blame():
    quarantine = Quarantine()
    for _ in range(3):
        quarantine.in_hand = lambda: (b"a",)
        quarantine.put_down()
        assert quarantine.blame() is None
    assert not quarantine.wary


def test_suspicion_ends_after_enough_that_did_no_harm(monkeypatch):
    monkeypatch.setattr(quarantine_module, "PATIENCE_PIECES", 10)
    quarantine = Quarantine()
    die(quarantine, b"a")
    for _ in range(10):
        assert quarantine.wary
        assert not quarantine.is_condemned(b"x")
    assert not quarantine.wary


def test_what_is_remembered_is_bounded():
    quarantine = Quarantine()
    for number in range(MAX_CONDEMNED + 1):
        piece = str(number).encode()
        die(quarantine, piece)
        assert die(quarantine, piece) == piece
    assert not quarantine.is_condemned(b"0")
    assert quarantine.is_condemned(str(MAX_CONDEMNED).encode())
    die(quarantine, *(str(number).encode() for number in range(2 * MAX_SUSPECTS)))
    assert len(quarantine._suspects) == MAX_SUSPECTS
