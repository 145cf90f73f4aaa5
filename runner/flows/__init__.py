"""The day as a Prefect flow. Nothing else imports Prefect; `python -m runner.flows --day D` runs it."""
