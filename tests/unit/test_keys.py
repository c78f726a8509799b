"""What keys do to a running sync; how they arrive is in the integration tests."""

from dataclasses import dataclass, field

import pytest

from civsync.cli.keys import KEYS, Keys
from civsync.core.control import Cancel, Order, Pause, Resume, Stage
from civsync.core.limits import KEY_CONFIRM_S
from support.steered import A, FakeControl, fake_control


@dataclass
class Desk:
    """Keys with everything that they touch."""

    control: FakeControl = field(default_factory=fake_control)
    hints: list[str] = field(default_factory=list)
    quits: list[str] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.keys = Keys(
            self.control,
            hint=self.hints.append,
            quit=lambda: self.quits.append("q"),
            clock=lambda: self.now,
        )

    def type(self, text: str) -> None:
        for key in text:
            self.keys.press(key)


def test_the_keys_are_named_before_the_first_is_pressed() -> None:
    assert Desk().hints == [KEYS]


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        pytest.param("p", [Pause()], id="pause"),
        pytest.param("r", [Resume()], id="resume"),
        pytest.param("pr", [Pause(), Resume()], id="pause and resume"),
        pytest.param("P", [Pause()], id="a capital letter"),
        pytest.param("c", [], id="c asks"),
        pytest.param("cc", [Cancel(paths=frozenset({A}))], id="c again cancels what was asked"),
        pytest.param("cxc", [], id="another key drops the question"),
        pytest.param("cpc", [Pause()], id="also one that means something"),
        pytest.param("c\nc", [], id="also Enter"),
        pytest.param("ccc", [Cancel(paths=frozenset({A}))], id="the third c asks anew"),
        pytest.param("xyz \n\x00\u20ac", [], id="keys of nobody"),
    ],
)
def test_keys_are_orders(text: str, orders: list[Order]) -> None:
    desk = Desk()
    desk.type(text)
    assert desk.control.orders == orders
    assert desk.quits == []


def test_q_quits_and_orders_nothing() -> None:
    desk = Desk()
    desk.type("q")
    assert (desk.control.orders, desk.quits, desk.hints[-1]) == ([], ["q"], "")


def test_the_question_says_how_many_downloads_would_go_and_runs_out() -> None:
    desk = Desk()
    desk.type("c")
    assert desk.hints[-1].startswith("cancel 1 download that")
    desk.now += KEY_CONFIRM_S + 0.1
    desk.type("c")
    assert desk.control.orders == []
    assert desk.hints[-1].startswith("cancel 1 download that")


def test_a_question_that_nobody_answers_is_taken_back_in_time() -> None:
    desk = Desk()
    desk.type("c")
    desk.now += KEY_CONFIRM_S - 0.1
    desk.keys.drop_old_question()
    assert desk.hints[-1].startswith("cancel 1 download that")
    desk.now += 0.2
    desk.keys.drop_old_question()
    assert desk.hints[-1] == KEYS
    hints = len(desk.hints)
    desk.keys.drop_old_question()
    assert len(desk.hints) == hints


def test_only_what_ran_when_the_question_was_asked_is_cancelled() -> None:
    desk = Desk()
    desk.type("c")
    desk.control.obey(Pause())
    desk.type("c")
    assert desk.control.orders[-1] == Cancel(paths=frozenset({A}))


def test_with_nothing_running_c_asks_nothing() -> None:
    desk = Desk()
    desk.type("pcc")
    assert desk.control.orders == [Pause()]
    assert desk.hints[-1].startswith("nothing is running just now")
    assert {each.stage for each in desk.control.transfers.values()} == {Stage.PAUSED}


def test_what_a_key_did_is_said() -> None:
    desk = Desk()
    desk.type("prp")
    assert desk.hints[1:] == [
        f"3 downloads paused; {KEYS}",
        f"3 downloads resumed; {KEYS}",
        f"3 downloads paused; {KEYS}",
    ]
    desk.type("p")
    assert desk.hints[-1] == KEYS
