"""Drive decisions that ask: take their questions to a source, and bring the answers.

Several questions are asked at a time; which ones, and what the answers mean, is not known
here.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from civsync.core.errors import RegistryError
from civsync.core.events import Asked
from civsync.core.questions import AskPage, Question, QuestionAnswer
from civsync.core.wording import search_key
from civsync.decide.lookup import Asking
from civsync.ports import Reporter, Source

T = TypeVar("T")


async def converse(conversation: Asking[T], source: Source, report: Reporter, *, entries: int) -> T:
    """Take the questions of `conversation` to `source` until it has its result.

    Raises what the source raises when there is no answer to be had (RegistryError,
    WireError): a lock is made of whole answers or not at all. The subject of a refused search
    is the key of its entry.
    """
    answered = 0

    def count() -> None:
        nonlocal answered
        answered += 1
        report(Asked(requests=answered, entries=entries))

    try:
        questions = next(conversation)
        report(Asked(requests=0, entries=entries))
        while True:
            questions = conversation.send(await _ask_all(source, questions, count))
    except StopIteration as end:
        result: T = end.value
        return result


async def _ask_all(
    source: Source, questions: Sequence[Question], count: Callable[[], None]
) -> tuple[QuestionAnswer, ...]:
    answers: list[QuestionAnswer | None] = [None] * len(questions)
    failures: list[Exception] = []

    async def ask(index: int, question: Question) -> None:
        try:
            answers[index] = await source.answer(question)
        except RegistryError as failure:
            if isinstance(question, AskPage):
                failure.subject = failure.subject or search_key(question.search)
            failures.append(failure)
            group.cancel_scope.cancel()
        except Exception as failure:  # noqa: BLE001 - carried out of the group unwrapped, below
            failures.append(failure)
            group.cancel_scope.cancel()
        else:
            count()

    async with anyio.create_task_group() as group:
        for index, question in enumerate(questions):
            group.start_soon(ask, index, question)
    if failures:
        raise failures[0]
    return tuple(answer for answer in answers if answer is not None)
