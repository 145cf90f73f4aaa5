"""How many examples a property gets that works on a database: fewer than one that only computes.

Both get more in the long form: HYPOTHESIS_PROFILE=long, as in `make test-all`.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def costly(share: int) -> settings:
    """Return settings with one in `share` of the profile's examples, and no complaint that they are slow."""
    return settings(
        max_examples=max(3, settings.default.max_examples // share),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
