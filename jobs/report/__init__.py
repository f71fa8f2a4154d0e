"""The report on a lake: one HTML file that says what is in it, how it came about, and shows samples.

``measures`` turns tables into the few numbers and texts of ``data``; ``charts`` draws them and ``page`` writes them
down,
both without Spark. ``jobs.commands.report`` ties them together.
"""
