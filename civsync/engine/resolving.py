"""Drive the resolver: take its questions to a source, several at a time, and bring the answers."""

from collections.abc import Callable, Sequence

import anyio

from civsync.core.events import Asked
from civsync.core.lock import Lock
from civsync.core.questions import Question, QuestionAnswer
from civsync.core.request import Entry
from civsync.decide.resolve import Resolution, resolve
from civsync.ports import Reporter, Source


async def run_resolver(
    entries: Sequence[Entry],
    previous: Lock,
    source: Source,
    report: Reporter,
    *,
    upgrade: Callable[[Entry], bool],
) -> Resolution:
    """Resolve `entries` against `source`.

    Raises what the source raises when there is no answer to be had (RegistryError,
    WireError): a lock is made of whole answers or not at all.
    """
    conversation = resolve(entries, previous, upgrade=upgrade)
    asked = 0
    try:
        questions = next(conversation)
        while True:
            answers = await _ask_all(source, questions)
            asked += len(questions)
            report(Asked(requests=asked, entries=len(entries)))
            questions = conversation.send(answers)
    except StopIteration as end:
        resolution: Resolution = end.value
        return resolution


async def _ask_all(source: Source, questions: Sequence[Question]) -> tuple[QuestionAnswer, ...]:
    answers: list[QuestionAnswer | None] = [None] * len(questions)
    failures: list[Exception] = []

    async def ask(index: int, question: Question) -> None:
        try:
            answers[index] = await source.answer(question)
        except Exception as failure:  # noqa: BLE001 - carried out of the group unwrapped, below
            failures.append(failure)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for index, question in enumerate(questions):
            group.start_soon(ask, index, question)
    if failures:
        raise failures[0]
    return tuple(answer for answer in answers if answer is not None)
