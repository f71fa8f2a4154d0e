"""What runs the stages: session, lake, recipe, schema, pipeline."""
