"""Deploying: which version of the worker gets the transfers, by Temporal's worker deployments.

A worker with a build id belongs to a *version* of our one deployment. Temporal gives it nothing
until that version is current. A worker without one is unversioned: it works while none is current.
"""

from __future__ import annotations

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

DEPLOYMENT = "customer-transfers"
"""What all our versions are versions of, in Temporal's words a worker deployment."""


def deployment_config(build_id: str) -> WorkerDeploymentConfig | None:
    """What makes a worker one of the version ``build_id``; ``None`` for an unversioned one.

    Open transfers follow the current version at their next step: they live for weeks, and a
    mended rule is for them, too. The replay of every recorded history sees to it that they can.
    """
    if not build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
