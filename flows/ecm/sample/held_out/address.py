"""A partner lets in only addresses that it knows, and ours has changed."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_HTML = (
    Line(
        "ERROR",
        "unexpected content-type text/html from {host} while submitting {order}: "
        "<title>Request blocked</title> <p>Your IP 198.51.100.24 may not access this resource. Incident {id}</p>",
    ),
    Line("WARN", "{order}: not JSON, cannot read result; attempt {attempt}"),
    Line("INFO", "apply vpc-edge complete: 3 added, 1 changed, 3 destroyed", "once", service="deployer"),
    Line("WARN", "status poll {host} blocked as well, {n} results outstanding", "steady", 7),
)
_GO = (
    Line(
        "ERROR",
        'submit {order}: Post "https://{host}/remit": read tcp {ip}:41822->{host}:443: read: connection reset by peer (before server hello)',
    ),
    Line("WARN", "submit {order}: reset again, {attempt} of 5"),
    Line(
        "INFO",
        "diag: tcp to {host}:443 opens from bastion (203.0.113.7), closes at once from here (seen as 198.51.100.31)",
        "steady",
        3,
    ),
    Line(
        "INFO",
        "outbound gateway swapped, workloads now leave through 198.51.100.31",
        "once",
        service="config-service",
    ),
)
_SOAP = (
    Line("ERROR", "SOAPFaultException: Client.Origin.Unregistered - caller 198.51.100.9 is not enrolled for participant ASP01 [{order}]\n"
         "\tat com.sun.xml.ws.fault.SOAP11Fault.getProtocolException(SOAP11Fault.java:178)\n"
         "\tat net.corridor.soap.RemitPort.instruct(RemitPort.java:90)"),
    Line("ERROR", "instruct({order}) failed permanently: Client.Origin.Unregistered"),
    Line("WARN", "RemitPort: session to {host} opened via standby uplink, primary uplink down since {time}", "steady", 5),
)  # fmt: skip

ADDRESS = Fault(
    name="origin_not_enrolled",
    stages=("lulu", "meridian", "zento", "kaveri", "tambo"),
    wordings=(_HTML, _GO, _SOAP),
    cause_keywords=(
        "allowlist", "allow-list", "allow list", "whitelist", " egress", "our address", "source address",
        "outbound address", "public address", "ip address", "source ip", "outgoing address", "unregistered",
    ),
    runbooks=("partner-does-not-recognise-our-address.md",),
    action="reroute_orders",
    refusal=(502, "{partner} does not accept connections from where we call"),
    passing=0.0,
)  # fmt: skip
