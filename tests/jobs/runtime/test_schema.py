import re

import pytest
from pyspark.sql.types import BooleanType, IntegerType, StringType, StructField, StructType

from jobs.runtime import schema
from jobs.runtime.errors import BackpromptError
from jobs.stages import STAGES

TABLES = {name: value for name, value in vars(schema).items() if isinstance(value, StructType)}


@pytest.mark.parametrize("name", TABLES)
def test_names_are_snake_case_and_booleans_say_so(name):
    for field in TABLES[name].fields:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name), field.name
        if isinstance(field.dataType, BooleanType):
            assert field.name.startswith(("is_", "has_")), field.name


def test_no_two_stages_add_the_same_column():
    added = [name for stage in STAGES.values() for name in stage.adds.fieldNames()]
    assert len(added) == len(set(added))


def test_check_schema_lists_all_differences_at_once():
    have = StructType([StructField("a", StringType()), StructField("c", StringType())])
    want = StructType([StructField("a", IntegerType()), StructField("b", StringType())])
    with pytest.raises(BackpromptError) as caught:
        schema.check_schema(have, want, "table t")
    message = str(caught.value)
    for part in ("table t", "b is missing", "c is not known", "a is string, should be int"):
        assert part in message


def test_order_and_nullability_do_not_matter():
    have = StructType([StructField("b", StringType(), False), StructField("a", StringType())])
    want = StructType([StructField("a", StringType(), False), StructField("b", StringType())])
    schema.check_schema(have, want, "t")
