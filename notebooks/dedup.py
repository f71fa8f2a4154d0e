# Databricks notebook source
# MAGIC %md
# MAGIC # Near-duplicates in any DataFrame
# MAGIC
# MAGIC Needs the `backprompt` wheel. `DOCUMENTS` is a Parquet or Delta table with ids and texts; to use your own, change it and
# MAGIC the names of its columns.

# COMMAND ----------

import os

from pyspark.sql import functions as F

from jobs.runtime.session import get_session
from jobs.stages.dedup import DedupSettings, decide, deduplicate, entries, kept_entries, sketch
from jobs.stages.dedup_lines import DedupLinesSettings, deduplicate_lines
from jobs.stages.dedup_report import as_markdown, summarise

DOCUMENTS = os.environ.get("BACKPROMPT_DOCUMENTS", "../data/demo/culturax")

spark = get_session()
docs = spark.read.option("recursiveFileLookup", "true").parquet(DOCUMENTS)
docs = docs.withColumn("doc_id", F.sha2(F.concat_ws("\n", "url", "text"), 256)).dropDuplicates(["doc_id"]).persist()
print(docs.count(), "documents")

# COMMAND ----------
# MAGIC %md
# MAGIC ## Lines that a site's documents share
# MAGIC
# MAGIC Menus and notices go before documents are compared.

# COMMAND ----------

lines = deduplicate_lines(docs, DedupLinesSettings(scope="site", min_documents=3)).persist()
lines.where("deduped_lines > 0").select("url", "deduped_lines", "deduped_chars").show(5, truncate=80)

# COMMAND ----------
# MAGIC %md
# MAGIC ## Near-duplicates

# COMMAND ----------

settings = DedupSettings(scope="all", threshold=0.8)
marked = deduplicate(lines, settings, column="text", key="doc_id").persist()
kept = marked.where("duplicate_of is null")
print(marked.count(), "documents,", kept.count(), "kept")

# COMMAND ----------
# MAGIC %md
# MAGIC ## What was done, and how well similarity was estimated

# COMMAND ----------

print(as_markdown(summarise(marked, "text", settings)))

# COMMAND ----------
# MAGIC %md
# MAGIC ## New data against old
# MAGIC
# MAGIC `sketch` makes narrow entries, `decide` compares a batch with itself and with entries kept before, `kept_entries` are
# MAGIC those to keep for the next time. `backprompt dedup --index` does this with a Delta table.

# COMMAND ----------

first = sketch(lines.where("pmod(xxhash64(doc_id), 2) = 0"), settings).persist()
index = kept_entries(first, decide(first, None, settings)).persist()
second = sketch(lines.where("pmod(xxhash64(doc_id), 2) = 1"), settings).persist()
decisions = decide(second, index, settings)
print(entries(index).count(), "entries in the index")
decisions.rows.where("is_duplicate").select("doc_id", "duplicate_of", "similarity").show(5)
