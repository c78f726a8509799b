import json
from collections.abc import Iterator

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.limits import MAX_ID
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.request import (
    ById,
    Entry,
    FileSelector,
    Latest,
    Manifest,
    Newest,
    Placement,
    Policy,
    Preference,
    Request,
    VersionSpec,
)
from civsync.documents.layouts import PRESET_NAMES, build_layout
from civsync.documents.manifest import read_manifest
from civsync.documents.schema_files import schema_names, schema_text
from civsync.documents.templates import FIELDS
from civsync.documents.vocabulary import FILE_TYPES, FORMATS, PRECISIONS, SIZES, TYPES
from support.manifest_text import only_entry, problems_of

WHOLE = """\
# yaml-language-server: $schema=civsync.schema.json
$schema: civsync.schema.json
version: 1
root: ./models/
layout: mine
layouts:
  mine:
    extends: a1111
    directories: {VAE: my/vae}
prefer:
  format: [gguf, safetensors]
  size: [full]
directories:
  lora: "loras/{base_model}/{creator}"
policy:
  pickle: allow
  scans: [virus]
  license: []
models:
  - https://civitai.com/models/4384
  - urn:air:sdxl:checkpoint:civitai:101055@128078
  - model: 58390
    version: newest
    base_model: SD 1.5
    groups: []
  - model: 4201
    version: 130072
    files:
      - Model
      - {type: vae, format: safetensors, precision: FP16, optional: true}
    directory: "checkpoints/photo"
    filename: "realistic-vision.{ext}"
    priority: 10
    hold: "V6 changes skin tones"
    prefer: {precision: [fp32]}
    allow_pickle: false
    allow_unverified: true
searches: []
"""


def entry(model: str) -> Entry:
    return only_entry(f"version: 1\nmodels:\n  - {model}\n")


def test_a_whole_manifest_is_read_with_its_defaults_applied() -> None:
    prefer = Preference(format=("GGUF", "SafeTensor"), size=("full",))

    def request(model_id: int, version: VersionSpec, base_model: str | None = None) -> Request:
        return Request(
            model_id=model_id,
            version=version,
            base_model=base_model,
            prefer=prefer,
            policy=Policy(allow_pickle=True, scans=("virus",)),
        )

    def place(line: int, index: int) -> Place:
        return Place(document="civsync.yaml", line=line, column=5, key=f"models[{index}]")

    read = read_manifest(WHOLE)
    assert read.root == "models"
    assert read.layout.name == "mine"
    assert read.layout.by_model_type["LORA"] == "loras/{base_model}/{creator}"
    assert read.layout.by_model_type["VAE"] == read.layout.by_file_type["VAE"] == "my/vae"
    assert read.layout.by_model_type["Checkpoint"] == "models/Stable-diffusion"
    assert read.entries == (
        Entry(key="4384@latest", request=request(4384, Latest()), place=place(20, 0)),
        Entry(key="101055@128078", request=request(101055, ById(128078)), place=place(21, 1)),
        Entry(
            key="58390@newest [SD 1.5]",
            request=request(58390, Newest(), "SD 1.5"),
            place=place(22, 2),
        ),
        Entry(
            key="4201@130072",
            request=Request(
                model_id=4201,
                version=ById(130072),
                selectors=(
                    FileSelector(type="Model"),
                    FileSelector(type="VAE", format="SafeTensor", precision="fp16", optional=True),
                ),
                prefer=Preference(
                    format=("GGUF", "SafeTensor"), precision=("fp32",), size=("full",)
                ),
                policy=Policy(scans=("virus",)),
                allow_unverified=True,
            ),
            placement=Placement(directory="checkpoints/photo", filename="realistic-vision.{ext}"),
            priority=10,
            hold="V6 changes skin tones",
            place=place(26, 3),
        ),
    )


def test_the_least_manifest_has_good_defaults() -> None:
    assert read_manifest(b"version: 1\nmodels: []\n") == Manifest(
        root="models", layout=build_layout("comfyui"), entries=()
    )


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("https://civitai.red/models/4384/x?modelVersionId=5", "4384@5"),
        ("civitai.com/model-versions/128713", "@128713"),
        ("{model: 4384}", "4384@latest"),
        ("{model: 4384, version: latest}", "4384@latest"),
        ("{model: 4384, version: newest, base_model: Pony}", "4384@newest [Pony]"),
        ("{model: 4384, version: 5}", "4384@5"),
        ('{model: 4384, version: "5"}', '4384@"5"'),
        ("{model: 4384, version: V5.1}", '4384@"V5.1"'),
        ('{model: 4384, version: "1.10"}', '4384@"1.10"'),
        ("{model: 4384, version: all}", "4384@all"),
        ("{model: 4384, version: all, base_model: Pony}", "4384@all [Pony]"),
        ('{model: 4384, version: "All"}', '4384@"All"'),
        ("{version: 128713}", "@128713"),
        ("{model: https://civitai.com/models/4384, version: newest}", "4384@newest"),
        ("{model: 'https://civitai.com/models/4384?modelVersionId=5'}", "4384@5"),
        ("{model: 'https://civitai.com/models/4384?modelVersionId=5', version: 5}", "4384@5"),
        ("{model: 'sdxl:lora:civitai:4384'}", "4384@latest"),
        ("{model: https://civitai.com/api/download/models/5}", "@5"),
        (f"{{model: {MAX_ID}}}", f"{MAX_ID}@latest"),
    ],
)
def test_every_way_to_name_a_version_leads_to_its_key(model: str, key: str) -> None:
    assert entry(model).key == key


def test_the_file_of_a_link_becomes_a_selector() -> None:
    assert entry("urn:air:sd1:lora:civitai:1@2+3").request.selectors == (FileSelector(id=3),)
    link = "https://civitai.com/api/download/models/5?type=pruned%20model&format=SafeTensor&fp=fp16"
    assert entry(link).request.selectors == (
        FileSelector(type="Pruned Model", format="SafeTensor", precision="fp16"),
    )


def test_the_format_of_an_air_is_the_only_one_allowed() -> None:
    request = entry("sd1:lora:civitai:1@2.gguf").request
    assert request.selectors == ()
    assert request.prefer == Preference(format=("GGUF",))


@pytest.mark.parametrize(
    ("text", "expected"), [("true", "held"), ("false", None), ("because", "because")]
)
def test_an_entry_is_held_with_or_without_a_reason(text: str, expected: str | None) -> None:
    assert entry(f"{{model: 1, hold: {text}}}").hold == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(".", "."), ("./", "."), ("models", "models"), ("./a/b/", "a/b"), ("My Models", "My Models")],
)
def test_a_root_below_the_manifest_is_taken(text: str, expected: str) -> None:
    assert read_manifest(f"version: 1\nroot: {text}\nmodels: []\n").root == expected


def test_an_empty_list_of_wishes_is_a_wish() -> None:
    read = read_manifest("version: 1\nprefer: {quant: []}\nmodels: [{model: 1}]\n")
    assert read.entries[0].request.prefer == Preference(quant=())


def test_scans_may_be_switched_off() -> None:
    read = read_manifest("version: 1\npolicy: {scans: []}\nmodels: [{model: 1}]\n")
    assert read.entries[0].request.policy.scans == ()


NONE = "models: []\n"
TOP = "version: 1\nmodels: []\n"
ONE = "version: 1\nmodels:\n  - "


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "key"),
    [
        # the document
        pytest.param("", Code.MANIFEST_SYNTAX, 1, 1, "", id="empty"),
        pytest.param("- a\n", Code.MANIFEST_INVALID, 1, 1, "", id="a list"),
        pytest.param("models: []\n", Code.MANIFEST_INVALID, 1, 1, "", id="no version"),
        pytest.param("version: 1\n", Code.MANIFEST_INVALID, 1, 1, "", id="no models"),
        pytest.param("version: 1\nmodels:\n", Code.MANIFEST_INVALID, 2, 8, "models", id="null"),
        pytest.param("version: 2\n" + NONE, Code.MANIFEST_INVALID, 1, 10, "version", id="newer"),
        pytest.param("version: 1.0\n" + NONE, Code.MANIFEST_INVALID, 1, 10, "version", id="1.0"),
        pytest.param("version: '1'\n" + NONE, Code.MANIFEST_INVALID, 1, 10, "version", id="'1'"),
        pytest.param(TOP + "version: 1\n", Code.DUPLICATE_KEY, 3, 1, "version", id="duplicate key"),
        pytest.param(TOP + "layuot: flat\n", Code.UNKNOWN_KEY, 3, 1, "layuot", id="unknown key"),
        pytest.param(TOP + "root: &r x\n", Code.YAML_ALIAS, 3, 7, "root", id="anchor"),
        pytest.param(TOP + "<<: {a: 1}\n", Code.YAML_ALIAS, 3, 1, "", id="merge key"),
        pytest.param(TOP + "\troot: x\n", Code.MANIFEST_SYNTAX, 3, 1, "", id="tab"),
        # the root
        pytest.param(TOP + "root: ../x\n", Code.MANIFEST_INVALID, 3, 7, "root", id="root climbs"),
        pytest.param(TOP + "root: a/../../x\n", Code.MANIFEST_INVALID, 3, 7, "root", id="climbs"),
        pytest.param(TOP + "root: /srv\n", Code.MANIFEST_INVALID, 3, 7, "root", id="absolute"),
        pytest.param(TOP + "root: ///\n", Code.MANIFEST_INVALID, 3, 7, "root", id="slashes"),
        pytest.param(TOP + "root: ~/x\n", Code.MANIFEST_INVALID, 3, 7, "root", id="home"),
        pytest.param(TOP + "root: $HOME/x\n", Code.MANIFEST_INVALID, 3, 7, "root", id="variable"),
        pytest.param(TOP + "root: 'C:\\x'\n", Code.MANIFEST_INVALID, 3, 7, "root", id="drive"),
        pytest.param(TOP + "root: ''\n", Code.MANIFEST_INVALID, 3, 7, "root", id="empty root"),
        pytest.param(TOP + "root: .civsync\n", Code.MANIFEST_INVALID, 3, 7, "root", id="control"),
        # layouts and directories
        pytest.param(TOP + "layout: comfy\n", Code.UNKNOWN_LAYOUT, 3, 9, "layout", id="layout"),
        pytest.param(
            TOP + "layouts: {flat: {}}\n", Code.MANIFEST_INVALID, 3, 11, "layouts.flat", id="preset"
        ),
        pytest.param(
            TOP + "layouts: {me: {extends: comfy}}\n",
            Code.MANIFEST_INVALID, 3, 25, "layouts.me.extends", id="extends nothing",
        ),
        pytest.param(
            TOP + "layouts: {me: {directories: {VAE: ../x}}}\n",
            Code.BAD_TEMPLATE, 3, 35, "layouts.me.directories.VAE", id="unused layout escapes",
        ),
        pytest.param(
            TOP + "directories: {VAE: /x}\n",
            Code.BAD_TEMPLATE, 3, 20, "directories.VAE", id="template escapes",
        ),
        pytest.param(
            TOP + "directories:\n  VAE: '{creater}'\n",
            Code.BAD_TEMPLATE, 4, 8, "directories.VAE", id="unknown field",
        ),
        pytest.param(
            TOP + "directories: {Loras: x}\n",
            Code.UNKNOWN_KEY, 3, 15, "directories.Loras", id="type with a slip",
        ),
        pytest.param(
            TOP + "directories: {LORA: x, Lora: y}\n",
            Code.DUPLICATE_KEY, 3, 24, "directories.Lora", id="type twice",
        ),
        # prefer and policy
        pytest.param(
            TOP + "prefer: {format: []}\n",
            Code.MANIFEST_INVALID, 3, 18, "prefer.format", id="no format at all",
        ),
        pytest.param(
            TOP + "prefer: {format: [SafeTensorz]}\n",
            Code.MANIFEST_INVALID, 3, 19, "prefer.format[0]", id="format with a slip",
        ),
        pytest.param(
            TOP + "prefer: {size: [small]}\n",
            Code.MANIFEST_INVALID, 3, 17, "prefer.size[0]", id="unknown size",
        ),
        pytest.param(
            TOP + "policy: {pickle: no}\n",
            Code.MANIFEST_INVALID, 3, 18, "policy.pickle", id="no is text",
        ),
        # entries
        pytest.param(ONE + "128713\n", Code.AMBIGUOUS_ID, 3, 5, "models[0]", id="number"),
        pytest.param(ONE + "'128713'\n", Code.AMBIGUOUS_ID, 3, 5, "models[0]", id="digits"),
        pytest.param(ONE + "dreamshaper\n", Code.BAD_LINK, 3, 5, "models[0]", id="name"),
        pytest.param(ONE + "air:hf:x:huggingface:1\n", Code.BAD_LINK, 3, 5, "models[0]", id="hf"),
        pytest.param(ONE + "\n", Code.MANIFEST_INVALID, 3, 4, "models[0]", id="nothing"),
        pytest.param(ONE + "[1]\n", Code.MANIFEST_INVALID, 3, 5, "models[0]", id="list"),
        pytest.param(ONE + "true\n", Code.MANIFEST_INVALID, 3, 5, "models[0]", id="true"),
        pytest.param(ONE + "1.5\n", Code.MANIFEST_INVALID, 3, 5, "models[0]", id="float"),
        pytest.param(ONE + "{}\n", Code.MANIFEST_INVALID, 3, 5, "models[0]", id="empty entry"),
        pytest.param(
            ONE + "{model: 0}\n", Code.MANIFEST_INVALID, 3, 13, "models[0].model", id="id 0"
        ),
        pytest.param(
            ONE + "{model: 2147483648}\n",
            Code.MANIFEST_INVALID, 3, 13, "models[0].model", id="id too large",
        ),
        pytest.param(
            ONE + "{model: '4384'}\n",
            Code.MANIFEST_INVALID, 3, 13, "models[0].model", id="id in quotes",
        ),
        pytest.param(
            ONE + "{model: true}\n",
            Code.MANIFEST_INVALID, 3, 13, "models[0].model", id="model true",
        ),
        pytest.param(
            ONE + "{model: example.com/models/1}\n",
            Code.BAD_LINK, 3, 13, "models[0].model", id="another host",
        ),
        pytest.param(
            ONE + "{model: 1, version: 1.10}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].version", id="version 1.10",
        ),
        pytest.param(
            ONE + "{model: 1, version: true}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].version", id="version true",
        ),
        pytest.param(
            ONE + "{model: 1, version: ~}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].version", id="version null",
        ),
        pytest.param(
            ONE + "{version: latest}\n",
            Code.MANIFEST_INVALID, 3, 15, "models[0].version", id="latest of nothing",
        ),
        pytest.param(
            ONE + "{version: all}\n",
            Code.MANIFEST_INVALID, 3, 15, "models[0].version", id="all of nothing",
        ),
        pytest.param(
            ONE + "{model: 'civitai.com/models/1?modelVersionId=2', version: all}\n",
            Code.MANIFEST_INVALID, 3, 63, "models[0].version", id="a version and all",
        ),
        pytest.param(
            ONE + "{model: 'civitai.com/models/1?modelVersionId=2', version: 3}\n",
            Code.MANIFEST_INVALID, 3, 63, "models[0].version", id="two versions",
        ),
        pytest.param(
            ONE + "{model: 'sd1:lora:civitai:1@2+3', files: [Model]}\n",
            Code.MANIFEST_INVALID, 3, 39, "models[0].files", id="file named twice",
        ),
        pytest.param(
            ONE + "{model: 1, file: [Model]}\n",
            Code.UNKNOWN_KEY, 3, 16, "models[0].file", id="unknown key of an entry",
        ),
        pytest.param(
            ONE + "{model: 1, files: []}\n",
            Code.MANIFEST_INVALID, 3, 23, "models[0].files", id="no files",
        ),
        pytest.param(
            ONE + "{model: 1, files: [{}]}\n",
            Code.MANIFEST_INVALID, 3, 24, "models[0].files[0]", id="empty selector",
        ),
        pytest.param(
            ONE + "{model: 1, files: [{optional: true}]}\n",
            Code.MANIFEST_INVALID, 3, 24, "models[0].files[0]", id="only optional",
        ),
        pytest.param(
            ONE + "{model: 1, files: [Modle]}\n",
            Code.MANIFEST_INVALID, 3, 24, "models[0].files[0]", id="file type with a slip",
        ),
        pytest.param(
            ONE + "{model: 1, files: [a.ckpt]}\n",
            Code.MANIFEST_INVALID, 3, 24, "models[0].files[0]", id="file name as a type",
        ),
        pytest.param(
            ONE + "{model: 1, files: [{typ: VAE}]}\n",
            Code.UNKNOWN_KEY, 3, 25, "models[0].files[0].typ", id="unknown key of a file",
        ),
        pytest.param(
            ONE + "{model: 1, directory: a/../..}\n",
            Code.BAD_TEMPLATE, 3, 27, "models[0].directory", id="directory escapes",
        ),
        pytest.param(
            ONE + "{model: 1, filename: a/b}\n",
            Code.BAD_TEMPLATE, 3, 26, "models[0].filename", id="file name with a slash",
        ),
        pytest.param(
            ONE + "{model: 1, priority: high}\n",
            Code.MANIFEST_INVALID, 3, 26, "models[0].priority", id="priority as text",
        ),
        pytest.param(
            ONE + "{model: 1, allow_pickle: yes}\n",
            Code.MANIFEST_INVALID, 3, 30, "models[0].allow_pickle", id="yes is text",
        ),
        pytest.param(
            ONE + "{model: 1}\n  - civitai.com/models/1\n",
            Code.DUPLICATE_ENTRY, 4, 5, "models[1]", id="entry twice",
        ),
        pytest.param(
            ONE + "{model: 1, version: 2}\n  - {version: 2}\n",
            Code.DUPLICATE_ENTRY, 4, 5, "models[1]", id="version twice, with and without model",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_problem_at_its_place(
    text: str, code: Code, line: int, column: int, key: str
) -> None:
    (problem,) = problems_of(text)
    place = problem.place
    assert (problem.code, place.line, place.column, place.key) == (code, line, column, key)
    assert problem.message
    assert len(problem.message) < 300


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (TOP + "layuot: flat\n", "`layuot` is not a key of the manifest", "Did you mean `layout`?"),
        (
            "version: 3\nmodels: []\n",
            "`version` is the number 3, and this civsync reads version 1",
            "Upgrade civsync.",
        ),
        (
            ONE + "{model: 1, version: 1.10}\n",
            "`version` must be a whole number or text, not the number 1.10",
            'Quote it if it is text: "1.10".',
        ),
        (
            TOP + "token: abc\n",
            "`token` is not a key of the manifest",
            "Secrets stay out of the manifest: run `civsync auth login`.",
        ),
        (
            ONE + "{model: 1, files: [{size: Full}]}\n",
            "`size` must be full or pruned, not the text Full",
            "Did you mean `full`?",
        ),
        (
            TOP + "root: /srv/models\n",
            "`root` must be a folder below the manifest's own, not '/srv/models'",
            "A root elsewhere is given by --root or CIVSYNC_ROOT.",
        ),
        (
            ONE + "{model: 1}\n  - {model: 1}\n",
            "`1@latest` is asked for twice: lines 3 and 4",
            "",
        ),
    ],
)
def test_a_problem_is_said_in_a_sentence_with_what_helps(
    text: str, message: str, hint: str
) -> None:
    (problem,) = problems_of(text)
    assert (problem.message, problem.hint) == (message, hint)


def test_all_faults_of_a_manifest_are_reported_at_once_in_order() -> None:
    text = """\
version: 1
root: ../elsewhere
layout: confyui
prefer:
  formt: [SafeTensor]
models:
  - 128713
  - model: 1
    version: 1.10
    directory: "{creater}"
    directory: loras
  - &anchor civitai.com/models/2
  - model: 3
    verison: 4
searches: [{tag: style, limt: 3}]
"""
    found = [(p.code, p.place.line, p.place.column, p.place.key) for p in problems_of(text)]
    assert found == [
        (Code.MANIFEST_INVALID, 2, 7, "root"),
        (Code.UNKNOWN_LAYOUT, 3, 9, "layout"),
        (Code.UNKNOWN_KEY, 5, 3, "prefer.formt"),
        (Code.AMBIGUOUS_ID, 7, 5, "models[0]"),
        (Code.MANIFEST_INVALID, 9, 14, "models[1].version"),
        (Code.BAD_TEMPLATE, 10, 16, "models[1].directory"),
        (Code.DUPLICATE_KEY, 11, 5, "models[1].directory"),
        (Code.YAML_ALIAS, 12, 5, "models[2]"),
        (Code.UNKNOWN_KEY, 14, 5, "models[3].verison"),
        (Code.UNKNOWN_KEY, 15, 25, "searches[0].limt"),
    ]


def test_the_document_is_called_what_the_caller_calls_it() -> None:
    with pytest.raises(DocumentError) as caught:
        read_manifest("version: 2\nmodels: []\n", name="ci/civsync.yaml")
    assert str(caught.value.place) == "ci/civsync.yaml:1:10"


# --- the published schema -----------------------------------------------------------------


def subschemas(schema: object) -> Iterator[dict[str, object]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from subschemas(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from subschemas(value)


SCHEMA = json.loads(schema_text("manifest"))


def test_the_schema_is_published_and_valid() -> None:
    assert "manifest" in schema_names()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == "urn:civsync:schema:manifest:1"


def test_every_key_of_the_schema_is_described_and_every_mapping_closed() -> None:
    definitions = SCHEMA["$defs"]
    for schema in subschemas(SCHEMA):
        properties = schema.get("properties")
        if not isinstance(properties, dict) or "type" not in schema:
            continue
        assert "additionalProperties" in schema
        for value in properties.values():
            reference = str(value.get("$ref", "")).rpartition("/")[2]
            assert value.get("description") or definitions[reference]["description"]


def test_the_words_of_the_schema_are_those_of_the_program() -> None:
    definitions = SCHEMA["$defs"]

    def offered(owner: str, key: str) -> list[str]:
        value = definitions[owner]["properties"][key]
        return list(value.get("items", value)["anyOf"][0]["enum"])

    assert list(SCHEMA["properties"]["layout"]["anyOf"][0]["enum"]) == list(PRESET_NAMES)
    assert definitions["layout"]["properties"]["extends"]["enum"] == list(PRESET_NAMES)
    assert set(definitions["directories"]["properties"]) == set(TYPES.known)
    assert offered("file", "type") == list(FILE_TYPES.known)
    assert offered("file", "format") == offered("prefer", "format") == list(FORMATS.known)
    assert definitions["file"]["properties"]["size"]["enum"] == list(SIZES.known)
    assert offered("file", "precision") == offered("prefer", "precision") == list(PRECISIONS.known)
    for field in FIELDS:
        assert f"{{{field}}}" in definitions["directory"]["description"]


def test_the_defaults_of_the_schema_are_those_of_the_program() -> None:
    prefer = SCHEMA["$defs"]["prefer"]["properties"]
    defaults = Preference()
    for key in ("format", "precision", "quant", "size"):
        assert tuple(prefer[key]["default"]) == getattr(defaults, key)
    assert SCHEMA["properties"]["root"]["default"] == Manifest(layout=build_layout("flat")).root


def test_an_unknown_schema_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        schema_text("../pyproject")


# --- any input ----------------------------------------------------------------------------

KEYS = sorted(
    key for schema in subschemas(SCHEMA) for key in schema if isinstance(schema.get(key), dict)
)
WORDS = st.sampled_from(
    [*KEYS, "latest", "civitai.com/models/1", "sd1:vae:civitai:1@2", "{name}.{ext}", "../x", "1.10"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


def faults(text: str) -> tuple[Problem, ...]:
    try:
        read_manifest(text)
    except DocumentError as error:
        return error.problems
    return ()


@given(st.dictionaries(WORDS, ANYTHING), ANYTHING)
def test_any_document_is_a_manifest_or_a_list_of_problems_with_places(
    top: dict[str, object], model: object
) -> None:
    text = json.dumps({"version": 1, "models": [model], **top})
    assert all(problem.place.line == 1 for problem in faults(text))


@given(st.text() | st.binary())
def test_any_text_is_a_manifest_or_a_list_of_problems(source: str | bytes) -> None:
    with pytest.raises(DocumentError):
        read_manifest(source)
