"""One plugin for client, worker, replayer and tests alike: payloads, failures, and the sandbox."""

from __future__ import annotations

from dataclasses import replace

from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DefaultFailureConverter,
    PayloadConverter,
    StorageDriverStoreContext,
)
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

from transfer import tracing
from transfer.codec import EncryptionCodec
from transfer.errors import InputInvalid, RuleBroken, TransferError
from transfer.guard import Guard

_OURS = ("transfer", "activities", "workflows", "idna")
"""What the sandbox need not import anew."""


class Failures(DefaultFailureConverter):
    """Errors as Temporal keeps and shows them.

    The UI prints the stack under an update that was refused, and staff would believe that we broke.
    Where a rule said no, its name is all that there is to know beside the message.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an error; see the base class."""
        super().to_failure(exception, payload_converter, failure)
        # By name: in the sandbox the class may be another one.
        name = failure.application_failure_info.type
        if name in _REFUSALS and failure.stack_trace:
            failure.stack_trace = name


_SAID_NO: tuple[type[TransferError], ...] = (*RuleBroken.__subclasses__(), InputInvalid)
_RULES = frozenset(cls.__name__ for cls in RuleBroken.__subclasses__())
_REFUSALS = frozenset(cls.__name__ for cls in _SAID_NO)


class SecretFailures(Failures):
    """The same, with message and stack where the codec encrypts them.

    But for what a rule says to staff: nobody keeps it, and the UI decodes no errors.
    """

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)
        self._plain = Failures()

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an error; see the base class."""
        name = (
            exception.type if isinstance(exception, ApplicationError) else type(exception).__name__
        )
        if name in _RULES:
            self._plain.to_failure(exception, payload_converter, failure)
        else:
            super().to_failure(exception, payload_converter, failure)


class Sandbox(SandboxedWorkflowRunner):
    """The SDK's sandbox, which is not asked for what nobody reads: see ``_Contextless``."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make what runs one workflow."""
        return _Contextless(super().create_instance(det))


class _Contextless(WorkflowInstance):
    """A workflow whose payloads are converted alike wherever they go.

    The worker asks for a context at each visit of each payload, and the sandbox compiles code to
    answer: an eighth of the worker's CPU. Nothing in our converters takes a context.
    """

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()

    def get_serialization_context(self, command_info: object) -> None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)


def plugin(
    codec: EncryptionCodec | None = None, *, traced: bool = False, pass_ours_through: bool = True
) -> SimplePlugin:
    """What client, worker, replayer and test environment have in common.

    ``pass_ours_through`` shares our modules with the sandbox instead of importing them anew for
    every workflow: some 30 ms of CPU less each. Tests leave it off, so that a stray clock or random
    number in the core is caught.
    """

    def runner(existing: WorkflowRunner | None) -> WorkflowRunner:
        if not isinstance(existing, SandboxedWorkflowRunner):
            raise TypeError("workflows of this service run in the sandbox")
        restrictions = existing.restrictions
        # The sandbox hands out a stand-in for ZoneInfo, to forbid three methods that nobody here
        # calls; datetime refuses a stand-in as a time zone.
        members = restrictions.invalid_module_members
        allowed = {name: rule for name, rule in members.children.items() if name != "zoneinfo"}
        restrictions = replace(
            restrictions, invalid_module_members=replace(members, children=allowed)
        )
        if pass_ours_through:
            restrictions = restrictions.with_passthrough_modules(*_OURS)
        return Sandbox(restrictions, existing.runner_class)

    return SimplePlugin(
        "customer-transfer",
        data_converter=replace(
            pydantic_data_converter,
            payload_codec=codec,
            failure_converter_class=SecretFailures if codec else Failures,
        ),
        interceptors=[Guard(), tracing.interceptor()] if traced else [Guard()],
        workflow_runner=runner,
        workflow_failure_exception_types=[TransferError],
    )
