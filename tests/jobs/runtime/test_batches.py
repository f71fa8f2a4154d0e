import pickle

from pyspark import cloudpickle

from jobs.runtime.batches import BatchProcessor
from jobs.runtime.ledger import BatchId
from jobs.runtime.recipe import load_recipe


def test_what_a_stream_calls_is_plain_data():
    """Spark Connect sends it to its server: no session, no open file, no lambda of ours in it."""
    recipe = load_recipe("demo")
    for name in recipe.order[1:]:
        life = BatchId("demo", name, recipe.fingerprint(name), 0, 0)
        processor = BatchProcessor("/lake", name, recipe.settings(name), recipe.resources(), ("a",), life, "run", 10)
        assert pickle.loads(cloudpickle.dumps(processor)).life == life
