"""Every refusal of pydantic becomes a sentence: what stands there, what belongs there, and what to do."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from llamafund_chain.errors import UsageError
from llamafund_chain.mistakes import Language, Mistake, Rule, UnfitError, find_mistakes, refusal, unknown_keys
from llamafund_chain.strict_yaml import load_yaml_with_lines

RULES = {r"^[a-c]{2}$": Rule("It must be two of the letters a, b and c", lambda text: f"{text[:1]}a would do")}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=5)] = "x"
    code: Annotated[str, StringConstraints(pattern=r"^[a-c]{2}$")] = "aa"


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: Literal["test/1"] = Field(default="test/1", alias="schema")
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"] = "WEIGHTS"
    count: Annotated[int, Field(ge=0, le=9)] = 0
    rate: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    flag: bool = True
    choice: Literal["all"] | tuple[str, ...] = "all"
    pair: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("a",)
    table: dict[str, int] = {}
    inner: Inner | None = None
    list_of: tuple[Inner, ...] = ()
    goal: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Document:
        if self.goal == "odd":
            raise ValueError("goal and count do not go together")
        if self.goal == "unfit":
            raise UnfitError("It must be even", "Add one")
        return self


def mistakes(document: Any, language: Language = "YAML", inside: str = "") -> list[Mistake]:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate_json(json.dumps(document))
    return find_mistakes(caught.value, Document, document, language=language, rules=RULES)


def sentence(document: Any, language: Language = "YAML") -> str:
    (mistake,) = mistakes(document, language)
    return str(UsageError(mistake.what, mistake.why, mistake.remedy))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"count": "two"}, "count is 'two'. It must be a whole number. Write it in digits."),
        ({"count": "7"}, "count is '7'. It must be a whole number. Write it without quotes: 7."),
        ({"count": None}, "count has no value. It must be a whole number. Write it in digits."),
        ({"count": True}, "count is true. It must be a whole number. Write it in digits."),
        ({"count": 1.5}, "count is 1.5. It must be a whole number. Write it in digits."),
        ({"count": [1, 2]}, "count is a list. It must be a whole number. Write it in digits."),
        ({"count": -1}, "count is -1. It must be at least 0. Choose a larger number."),
        ({"count": 10}, "count is 10. It must be at most 9. Choose a smaller number."),
        ({"rate": "x"}, "rate is 'x'. It must be a number. Write it like 0.1 or 1e-4."),
        ({"rate": 0}, "rate is 0. It must be above 0. Choose a larger number."),
        ({"rate": 1}, "rate is 1. It must be below 1. Choose a smaller number."),
        ({"flag": "yes"}, "flag is 'yes'. It must be true or false. Write one of the two, without quotes."),
        ({"goal": 7}, 'goal is 7. It must be text. Put it in quotes: "7".'),
        ({"goal": ["x"]}, "goal is a list. It must be text. Write text there."),
        (
            {"kind": "dataset"},
            "kind is 'dataset'. It must be 'DATASET', 'CHECKPOINT' or 'WEIGHTS'. Did you mean DATASET?",
        ),
        ({"kind": "x"}, "kind is 'x'. It must be 'DATASET', 'CHECKPOINT' or 'WEIGHTS'."),
        ({"pair": []}, "pair has no entries. It must have at least 1 entry. Add what is missing."),
        ({"pair": ["a", "b", "c"]}, "pair has 3 entries. It may have at most 2 entries. Leave out some."),
        ({"pair": "a"}, "pair is 'a'. It must be a list. Write each entry in a line of its own, after a dash."),
        ({"pair": ["a", 5]}, 'the second entry of pair is 5. It must be text. Put it in quotes: "5".'),
        ({"table": 5}, "table is 5. It must be a section with keys of its own. Write its keys and values there."),
        ({"table": {"x": "y"}}, "table.x is 'y'. It must be a whole number. Write it in digits."),
        ({"inner": []}, "inner is a list. It must be a section with keys of its own. Write its keys and values there."),
        ({"inner": {"name": ""}}, "inner.name is empty. Text belongs there. Fill it in."),
        ({"inner": {"name": "abcdef"}}, "inner.name has 6 characters. It may have at most 5 characters. Shorten it."),
        ({"inner": {"code": "bx"}}, "inner.code is 'bx'. It must be two of the letters a, b and c. ba would do."),
        (
            {"list_of": [{}, {"code": 5}]},
            'code in the second entry of list_of is 5. It must be text. Put it in quotes: "5".',
        ),
        ({"gaol": "x"}, "gaol is not known here. Known are {known}. Did you mean goal?"),
        ({"inner": {"q": 1}}, "inner.q is not known here. Known are name, code. Leave it out."),
        ({"goal": "odd"}, "goal and count do not go together."),
        ({"goal": "a\x1b" + "b" * 90}, None),
    ],
)
def test_each_mistake_is_a_sentence(document: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert Document.model_validate(document)
        return
    known = "schema, kind, count, rate, flag, choice, pair, table, inner, list_of, goal"
    assert sentence(document) == said.replace("{known}", known)


def test_json_is_put_right_in_another_way() -> None:
    assert sentence({"pair": 1}, "JSON") == "pair is 1. It must be a list. Put the entries in brackets: [ ]."
    assert sentence({"inner": 1}, "JSON") == "inner is 1. It must be an object. Write its keys and values there."


def test_a_choice_between_types_is_one_mistake_at_the_place_that_was_written() -> None:
    (mistake,) = mistakes({"choice": 5})
    assert mistake.place == ("choice",)


def test_a_check_of_the_model_says_what_belongs_there_and_the_value_is_added() -> None:
    class Even(BaseModel):
        number: int

        @model_validator(mode="before")
        @classmethod
        def _even(cls, value: Any) -> Any:
            raise UnfitError("It must be even", "Add one")

    with pytest.raises(ValidationError) as caught:
        Even.model_validate(5)
    (mistake,) = find_mistakes(caught.value, Even, 5, language="YAML", rules={})
    assert (mistake.what, mistake.why, mistake.remedy) == ("it is 5", "It must be even", "Add one")


def test_half_of_a_character_is_named_as_such() -> None:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate_json(r'{"goal": "\ud800"}')
    (mistake,) = find_mistakes(caught.value, Document, {}, language="JSON", rules={})
    assert mistake.what == "it contains half of a character"


def test_strangers_text_is_shown_short_and_visible() -> None:
    (mistake,) = mistakes({"kind": "\x1b[31m" + "b" * 900})
    assert mistake.what.startswith(r"kind is '\u{1b}[31mbbb")
    assert len(mistake.what) < 120


def test_the_first_mistake_is_told_and_the_others_are_named_with_their_lines() -> None:
    text = "count: x\nkind: y\ninner:\n  name: ''\n  code: z\npair: 5\nflag: 5\n"
    document, lines = load_yaml_with_lines(text)
    error = refusal(UsageError, "'a.yaml'", mistakes(document), lines)
    assert str(error) == (
        "'a.yaml', line 2: kind is 'y'. It must be 'DATASET', 'CHECKPOINT' or 'WEIGHTS'. "
        "Also wrong: count (line 1), flag (line 7), pair (line 6), inner.name (line 4), 1 more."
    )


def test_a_mistyped_key_comes_before_what_it_leaves_missing() -> None:
    class Needy(BaseModel):
        model_config = ConfigDict(extra="forbid")

        quorum: int
        other: int

    with pytest.raises(ValidationError) as caught:
        Needy.model_validate({"qorum": 1})
    first, *others = find_mistakes(caught.value, Needy, {"qorum": 1}, language="YAML", rules={})
    assert first.what == "qorum is not known here"
    assert [mistake.place for mistake in others] == [("other",)]


def test_unknown_keys_are_found_where_a_model_would_keep_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

        parts: tuple[Inner, ...] = ()

    found = list(unknown_keys({"parts": [{"name": "a", "coed": "aa"}], "prats": 1}, Open, ("proposal",)))
    assert [mistake.what for mistake in found] == [
        "coed in the first entry of proposal.parts is not known here",
        "proposal.prats is not known here",
    ]
    assert [mistake.remedy for mistake in found] == ["Did you mean code?", "Did you mean parts?"]


def test_a_section_where_a_list_belongs_is_no_unknown_key() -> None:
    class Open(BaseModel):
        parts: tuple[Inner, ...] = ()

    assert not list(unknown_keys({"parts": {"q": 1}}, Open))


def test_a_wrong_entry_does_not_make_its_list_too_short() -> None:
    assert [mistake.place for mistake in mistakes({"pair": [5]})] == [("pair", 0)]
