# Databricks notebook source
# MAGIC %md
# MAGIC # From documents to pairs, stage by stage
# MAGIC
# MAGIC This notebook runs the demo recipe on the session that is there and shows what each stage made. It needs the
# MAGIC `backprompt` wheel, a checkout of the repository for the demo's documents, and Apertium on the workers for the
# MAGIC translation. To use your own corpus, change `RECIPE`.

# COMMAND ----------

import os

from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Options, run
from jobs.runtime.recipe import load_recipe
from jobs.runtime.session import get_session
from jobs.stages.clean import CleanSettings, clean

RECIPE = os.environ.get("BACKPROMPT_RECIPE", "../conf/demo.yaml")
LAKE = os.environ.get("BACKPROMPT_LAKE", "/tmp/backprompt-demo")  # on Databricks: a volume or catalog.schema
MAX_DOCUMENTS = int(os.environ.get("BACKPROMPT_MAX_DOCUMENTS", "300"))

spark = get_session()
recipe = load_recipe(RECIPE)
lake = Lake(spark, LAKE)
print(" -> ".join(recipe.order))

# COMMAND ----------
# MAGIC %md
# MAGIC ## Run
# MAGIC
# MAGIC The same call as `backprompt run`. Run the cell again: nothing is new, so nothing is done.

# COMMAND ----------


class Printer:
    """Prints a line a stage."""

    def note(self, text):
        print(text)

    def stage_started(self, stage, expected):
        pass

    def batch_done(self, stage, rows):
        print(f"{stage}: {rows} rows")

    def stage_done(self, stage):
        pass


outcome = run(spark, recipe, lake, Options(max_documents=MAX_DOCUMENTS), Printer())

# COMMAND ----------
# MAGIC %md
# MAGIC ## Documents
# MAGIC
# MAGIC What the corpora gave, with licence and origin.

# COMMAND ----------

lake.read("documents").groupBy("language", "source", "license").agg(
    F.count("*").alias("documents"), F.sum("text_chars").alias("characters")
).orderBy("language", "source").show(50, truncate=False)

# COMMAND ----------
# MAGIC %md
# MAGIC ## What was rejected, where and why
# MAGIC
# MAGIC Nothing vanishes: a rejected row stays in the table of the stage that rejected it.

# COMMAND ----------

for stage in recipe.order[:-1]:
    rejected = lake.read(stage).where(F.size("rejected_for") > 0)
    rejected.select("language", F.explode("rejected_for").alias("reason"), "detail").groupBy("reason").agg(
        F.count("*").alias("rows"), F.min("detail").alias("for example")
    ).orderBy(F.desc("rows")).show(20, truncate=80)

# COMMAND ----------
# MAGIC %md
# MAGIC ## A document's way
# MAGIC
# MAGIC One row, from its text to its instruction.

# COMMAND ----------

(
    lake.read("screen")
    .where(F.size("rejected_for") == 0)
    .orderBy("text_chars", "doc_id")
    .select("language", "title", "title_en", "instruction_en", "instruction_src", "generator", "text")
    .show(1, truncate=200, vertical=True)
)

# COMMAND ----------
# MAGIC %md
# MAGIC ## Pairs

# COMMAND ----------

pairs = lake.read("pairs")
pairs.groupBy("language", "split").count().groupBy("language").pivot("split").sum("count").orderBy("language").show()
pairs.select("language", "instruction", F.substring("output", 1, 120).alias("output")).orderBy(
    "output_chars", "pair_id"
).show(5, truncate=120)

# COMMAND ----------
# MAGIC %md
# MAGIC ## A stage alone
# MAGIC
# MAGIC Every stage is a function from a DataFrame to a DataFrame. Here the cleaning rules, with other bounds, over the
# MAGIC documents of the lake; nothing is written.

# COMMAND ----------

strict = clean(lake.read("documents"), CleanSettings(min_chars=2_000), recipe.resources())
strict.select(F.explode_outer("rejected_for").alias("reason")).groupBy("reason").count().orderBy("reason").show(
    truncate=False
)
