"""What is told: facts, the closed list of audit words, and the port that records them. Capabilities build a
Fact and hand it to the Journal inside the transaction that makes it true; nothing is ever told outside of
one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.core.transaction import Transaction

INSTALLATION = "installation"
"""Stands for the tenant in facts that are no bank's. No bank reads them over the API."""


class AuditWord(StrEnum):
    """Who did what to which kind of thing: `subject:object:action`. An unknown word cannot be written."""

    BANK_ACTIVATION_START = "bank:activation:start"
    BANK_ACTIVATION_CANCEL = "bank:activation:cancel"
    CUSTOMER_ACTIVATION_CANCEL = "customer:activation:cancel"
    PHONE_ACTIVATION_PRESENT = "phone:activation:present"
    PHONE_ACTIVATION_CANCEL = "phone:activation:cancel"
    PHONE_ACTIVATION_CONTEST = "phone:activation:contest"
    CUSTOMER_ACTIVATION_CODE_WRONG = "customer:activation:code-wrong"
    CUSTOMER_ACTIVATION_CONFIRM = "customer:activation:confirm"
    CUSTOMER_ACTIVATION_REFUSE = "customer:activation:refuse"
    PHONE_ACTIVATION_COMPLETE = "phone:activation:complete"
    GATEWAY_ACTIVATION_EXPIRE = "gateway:activation:expire"
    PHONE_ACTIVATION_RETURN = "phone:activation:return"
    PHONE_ACTIVATION_LEAVE = "phone:activation:leave"
    GATEWAY_ACTIVATION_END_TYPED = "gateway:activation:end-typed"
    BANK_PAGE_TOKEN_ISSUE = "bank:page-token:issue"  # noqa: S105 - a word, not a token
    PHONE_BINDING_ADD = "phone:binding:add"
    PHONE_BINDING_RESUME = "phone:binding:resume"
    PHONE_BINDING_RENAME = "phone:binding:rename"
    PHONE_BINDING_REMOVE = "phone:binding:remove"
    PHONE_BINDING_CLONE = "phone:binding:clone"
    BANK_BINDING_RENAME = "bank:binding:rename"
    BANK_BINDING_SUSPEND = "bank:binding:suspend"
    BANK_BINDING_RESUME = "bank:binding:resume"
    BANK_BINDING_REMOVE = "bank:binding:remove"
    CUSTOMER_BINDING_RENAME = "customer:binding:rename"
    CUSTOMER_BINDING_SUSPEND = "customer:binding:suspend"
    CUSTOMER_BINDING_RESUME = "customer:binding:resume"
    CUSTOMER_BINDING_REMOVE = "customer:binding:remove"
    PHONE_PIN_EVALUATE = "phone:pin:evaluate"
    PHONE_PIN_PROVE = "phone:pin:prove"
    PHONE_PIN_WRONG = "phone:pin:wrong"
    PHONE_PIN_CHANGE = "phone:pin:change"
    GATEWAY_PIN_BLOCK = "gateway:pin:block"
    BANK_PIN_UNBLOCK = "bank:pin:unblock"
    BANK_APPROVAL_CREATE = "bank:approval:create"
    BANK_APPROVAL_CANCEL = "bank:approval:cancel"
    CUSTOMER_APPROVAL_CANCEL = "customer:approval:cancel"
    PHONE_APPROVAL_APPROVE = "phone:approval:approve"
    PHONE_APPROVAL_REFUSE = "phone:approval:refuse"
    PHONE_APPROVAL_REPORT = "phone:approval:report"
    PHONE_APPROVAL_WRONG = "phone:approval:wrong"
    PHONE_APPROVAL_COUNT = "phone:approval:count"
    CUSTOMER_APPROVAL_WRONG = "customer:approval:wrong"
    CUSTOMER_APPROVAL_SHOW = "customer:approval:show"
    GATEWAY_APPROVAL_EXPIRE = "gateway:approval:expire"
    GATEWAY_APPROVAL_BLOCK = "gateway:approval:block"
    GATEWAY_APPROVAL_FATIGUE = "gateway:approval:fatigue"
    BANK_APPROVAL_UNBLOCK = "bank:approval:unblock"
    BANK_POLICY_CHANGE = "bank:policy:change"
    BANK_MESSAGE_SEND = "bank:message:send"
    BANK_MESSAGE_DELETE = "bank:message:delete"
    GATEWAY_MESSAGE_SEND = "gateway:message:send"
    PHONE_MESSAGE_READ = "phone:message:read"
    CUSTOMER_MESSAGE_READ = "customer:message:read"
    PHONE_PUSH_SUBSCRIBE = "phone:push:subscribe"
    PHONE_PUSH_UNSUBSCRIBE = "phone:push:unsubscribe"
    GATEWAY_PUSH_EXPIRE = "gateway:push:expire"
    PHONE_BIOMETRIC_ENROL = "phone:biometric:enrol"
    PHONE_BIOMETRIC_REMOVE = "phone:biometric:remove"
    GATEWAY_BINDING_MOVE = "gateway:binding:move"
    OPERATOR_TENANT_CREATE = "operator:tenant:create"
    OPERATOR_KEY_ROTATE = "operator:key:rotate"
    OPERATOR_KEY_RETIRE = "operator:key:retire"
    OPERATOR_KEY_MIGRATE = "operator:key:migrate"
    OPERATOR_API_KEY_CREATE = "operator:api-key:create"
    OPERATOR_API_KEY_REVOKE = "operator:api-key:revoke"
    BANK_WEBHOOK_CREATE = "bank:webhook:create"
    BANK_WEBHOOK_DELETE = "bank:webhook:delete"
    BANK_WEBHOOK_REDELIVER = "bank:webhook:redeliver"
    GATEWAY_WEBHOOK_FAIL = "gateway:webhook:fail"


class WebhookEvent(StrEnum):
    """What the bank is told by webhook. Another type cannot be sent, nor asked for."""

    ACTIVATION_PRESENT = "activation.present"
    ACTIVATION_CODE_WRONG = "activation.code-wrong"
    ACTIVATION_CONFIRMED = "activation.confirmed"
    ACTIVATION_ACTIVE = "activation.active"
    ACTIVATION_ENDED = "activation.ended"
    BINDING_ACTIVE = "binding.active"
    BINDING_RENAMED = "binding.renamed"
    BINDING_SUSPENDED = "binding.suspended"
    BINDING_RESUMED = "binding.resumed"
    BINDING_REMOVED = "binding.removed"
    BINDING_PIN_BLOCKED = "binding.pin-blocked"
    BINDING_PIN_UNBLOCKED = "binding.pin-unblocked"
    BINDING_APPROVALS_BLOCKED = "binding.approvals-blocked"
    BINDING_APPROVALS_UNBLOCKED = "binding.approvals-unblocked"
    BINDING_BIOMETRIC_CHANGED = "binding.biometric-changed"
    APPROVAL_CREATED = "approval.created"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_REFUSED = "approval.refused"
    APPROVAL_REPORTED = "approval.reported"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_CANCELLED = "approval.cancelled"
    APPROVAL_FAILED = "approval.failed"
    CUSTOMER_FATIGUE = "customer.fatigue"
    MESSAGE_READ = "message.read"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that has become true. `word` is an AuditWord; `subject` the id of the thing; `data` holds
    no secret. `event` is the type that event streams and webhooks carry (`activation.present`), `topics`
    the streams it goes to (`activation:act_…`, `user:<tenant>:<user>`), `webhook` whether the bank is
    told."""

    tenant_id: str
    word: str
    subject: str
    data: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    event: str | None = None
    topics: tuple[str, ...] = ()
    webhook: bool = False


class Journal(Protocol):
    """Where facts go: the audit chain, the event log and the webhook outbox, in the caller's transaction."""

    def record(self, tx: Transaction, fact: Fact) -> None:
        """Write the fact. Subscribers and the webhook sender wake after the commit."""
        ...
