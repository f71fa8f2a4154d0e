"""What an instruction's form and wording say of it, without Spark: one module a family of rules."""
