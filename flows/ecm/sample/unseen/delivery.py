"""A batch file of payments never arrives on the bank's SFTP server."""

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_UPLOAD = (
    Line(
        "ERROR",
        "SFTP upload of pain001_{id}.xml (contains {order}) to {host}:/inbound failed: Permission denied",
    ),
    Line("WARN", "order {order} stays in SUBMITTING, file pain001_{id}.xml has not been sent"),
    Line("WARN", "{n} files in outbox older than 60 minutes", "steady", 4),
)
_NOT_PICKED_UP = (
    Line("WARN", "no status report for {order}, batch file {id}.csv not confirmed by {partner}"),
    Line(
        "ERROR",
        "Job {stage}-file-upload failed: com.jcraft.jsch.SftpException: 4: Failure: disk quota exceeded",
        "steady",
        4,
        service="scheduler",
    ),
    Line("WARN", "expected acknowledgement file ACK_{day}_{id}.csv did not arrive", "steady", 3),
)

DELIVERY = Fault(
    name="undelivered_file",
    stages=("bank_transfer", "tambo"),
    wordings=(_UPLOAD, _NOT_PICKED_UP),
    cause_keywords=("sftp", "batch file", "payment file", "file transfer", "file was not", "upload"),
    runbooks=("sftp-payment-file-not-delivered.md",),
    action=None,
    refusal=(409, "order belongs to a batch file; it can only be sent with its file"),
    passing=0.25,
)
