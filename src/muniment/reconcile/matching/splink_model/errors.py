"""What can be wrong with a model for Splink, and with the place it runs in."""

from __future__ import annotations

from muniment.errors import MunimentError


class SplinkMissing(MunimentError):
    """Splink is not installed here: `pip install 'muniment[splink]'`."""

    code = "splink_missing"
    status = 422
    title = "Splink missing"


class SparkMissing(MunimentError):
    """Spark is not installed here: `pip install 'muniment[spark]'`, and a Java runtime."""

    code = "spark_missing"
    status = 422
    title = "Spark missing"


class SplinkSettingsUnusable(MunimentError):
    """These settings of Splink cannot be used."""

    code = "splink_settings_unusable"
    status = 422
    title = "Splink settings unusable"


class SplinkFailed(MunimentError):
    """Splink could not run this model on these datasets."""

    code = "splink_failed"
    status = 422
    title = "Splink failed"
