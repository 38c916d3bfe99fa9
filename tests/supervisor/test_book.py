import pytest

from backstay.supervisor.book import Book, NameTaken
from backstay.supervisor.inbox import Inbox
from backstay.supervisor.messages import Exited, ExitKind, Stop


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def inbox(book: Book) -> Inbox:
    made = Inbox(limit=3)
    book.register("a", made)
    return made


def test_what_is_sent_arrives_and_what_is_urged_arrives_first(book, inbox):
    assert book.send("a", "data")
    assert book.urge("a", "control")
    assert book.length("a") == 2
    assert [inbox.take(), inbox.take()] == ["control", "data"]


def test_letters_to_nobody_are_refused_and_counted(book):
    assert not book.send("nobody", "x")
    assert not book.urge("nobody", "x")
    assert not book.interrupt("nobody")
    assert (book.length("nobody"), book.dead_letters, book.overflows) == (0, 2, 0)


def test_letters_to_a_full_inbox_are_no_dead_letters(book, inbox):
    assert [book.send("a", number) for number in range(5)] == [True, True, True, False, False]
    assert (book.dead_letters, book.overflows) == (0, 2)
    assert inbox.overflows == 2


def test_letters_to_a_closed_inbox_are_dead_letters(book, inbox):
    inbox.close()
    assert not book.send("a", "x")
    assert book.dead_letters == 1


def test_a_restarted_actor_keeps_its_address(book, inbox):
    book.remove("a", inbox)
    successor = Inbox()
    book.register("a", successor)
    assert book.send("a", "hello")
    assert successor.take() == "hello"


def test_a_late_removal_does_not_strike_the_successor_off(book, inbox):
    book.remove("a", inbox)
    successor = Inbox()
    book.register("a", successor)
    book.remove("a", inbox)
    assert book.names() == ("a",)


def test_a_name_belongs_to_one_life_at_a_time(book, inbox):
    with pytest.raises(NameTaken, match="'a'"):
        book.register("a", Inbox())
    assert book.send("a", "still there")


def test_an_interrupt_reaches_the_actor(book, inbox):
    assert not book.interrupt("a")
    called = []
    inbox.interrupt = lambda: called.append("a")
    assert book.interrupt("a")
    assert called == ["a"]


def test_sub_trees_have_names_of_their_own_reached_by_path(book, inbox):
    inner = book.open_inner("connection")
    session = Inbox()
    inner.register("a", session)
    assert book.inner("connection") is inner is book.open_inner("connection")
    assert book.send("connection/a", "data")
    assert book.urge("connection/a", "control")
    assert book.length("connection/a") == 2
    assert not book.interrupt("connection/a")
    assert [session.take(), session.take()] == ["control", "data"]
    assert inbox.empty()
    deeper = Inbox()
    inner.open_inner("link").register("reader", deeper)
    assert book.send("connection/link/reader", "hello")
    assert deeper.take() == "hello"
    assert not book.send("connection/nobody", "x")
    assert not book.send("nobody/a", "x")
    assert book.dead_letters == 2


def test_what_is_lost_in_a_sub_tree_counts_outside_too(book):
    inner = book.open_inner("connection")
    inner.register("a", Inbox(limit=0))
    inner.send("nobody", "x")
    inner.send("a", "x")
    book.forget("connection")
    book.inner("connection").send("a", "x")
    assert (inner.dead_letters, inner.overflows) == (1, 1)
    assert (book.dead_letters, book.overflows) == (2, 1)


def test_a_sub_tree_that_is_not_there_has_an_empty_book_that_leaves_no_trace(book):
    assert not book.inner("nobody").send("a", "x")
    assert book.inner_names() == ()


def test_a_forgotten_sub_tree_is_gone(book):
    inner = book.open_inner("connection")
    assert book.inner_names() == ("connection",)
    book.forget("connection")
    book.forget("connection")
    assert book.inner_names() == ()
    assert book.open_inner("connection") is not inner


def test_what_was_left_over_is_counted_but_for_words_with_the_supervisor(book):
    book.bury(["a", Stop(), Exited("a", 1, ExitKind.NORMAL), "b"])
    assert book.dead_letters == 2


def test_all_inboxes_look_at_the_clock_again_on_wake(book, inbox):
    inbox._token.append(None)  # as if its reader slept
    book.wake()
    assert not inbox.waiting
