"""Synonyms of file deliveries, money and compliance; see `blocks.synonyms`."""

from __future__ import annotations

PAYMENTS: dict[str, str] = {
    # files
    "file delivery": (
        "sftp, ftp, ssh, enoent, receipt, inbox, NoSuchKey, mailbox, mft, outbox, host key, known_hosts, "
        "camt, feed, s3 bucket, settlement files, no such file, file not found, drop folder, not been "
        "delivered, ack file, file transfer, statement file, report file, missing file, confirmation file"
    ),
    "part file": (
        "partial file, truncated, incomplete, zero bytes, 0 bytes, empty file, trailer, control total, "
        "record count, half written, unexpected end of file, eof, cut short, end of stream, row count, "
        "still being written, premature end, footer, header record"
    ),
    "confirmation": (
        "ack, acknowledgement, confirmation, receipt, nack, response file, proof of payment, utr, status "
        "report, pain.002, mt910"
    ),
    # payments
    "compliance": (
        "compliance, aml, kyc, sanctions, screening, watchlist, ofac, pep, due diligence, fraud check, name "
        "check, fraud, risk engine, transaction monitoring, financial crime, suspicious, risk score, "
        "adverse media, terror list, hit list, mlro, edd, unchecked, 451, legal reasons"
    ),
    "identity papers": (
        "kyc, document, passport, id card, id_expired, proof of address, driving licence, national id, "
        "onboarding, selfie, liveness check, source of funds, ekyc, jumio, onfido, aadhaar, emirates id, "
        "rekyc, proof of identity, identity verification, verify identity"
    ),
    "false positive": (
        "false positive, fuzzy match, name match, common names, possible match, potential match, match "
        "score, hits, alert volume, over matching, wrongly flagged, innocent, true match, similarity "
        "threshold"
    ),
    "hold": (
        "hold, held, freeze, frozen, manual review, suspended, flagged, review, analyst, under review, case "
        "queue, investigation, blocked order, quarantine, four eyes, approval"
    ),
    "cut-off": (
        "cutoff, cut off, business hours, banking hours, bank holiday, weekend, next business day, value "
        "date, clearing window, settlement window, after hours, closing hour, operating hours, session "
        "closed, market closed, window closed, outside hours, deadline, next working day, rtgs hours, "
        "closed window, too late for today, next window, same day"
    ),
    "holiday": (
        "holiday, business day, working day, calendar, days off, banks are closed, local banks, weekend, "
        "festival, eid, diwali, closed day, target day, not working today, closed today, no clearing"
    ),
    "payout": (
        "payout, disburse, transfer, remittance, payment, settle, settlement, credit transfer, pay, money "
        "movement, wire, credit, paid"
    ),
    "partner": (
        "partner, provider, vendor, upstream, third party, counterparty, gateway, correspondent, bank, "
        "supplier, acquirer, external, psp, their side"
    ),
    "refund": (
        "refund, reversal, return, chargeback, money back, recall, dispute, recredit, give back money"
    ),
    "exchange rate": (
        "fx, exchange rate, currency, quote, rate feed, conversion, market data, usd, eur, forex, reuters, "
        "mid rate, rate provider, stale rate, rate lock, price feed"
    ),
    "funding": (
        "balance, dry, prefund, float, liquidity, funds, nostro, top up, insufficient funds, overdrawn, "
        "account is empty, overdraft, settlement account, not enough money, vostro, am04, sweep, credit "
        "line, replenish, 402, payment required"
    ),
    "books": (
        "ledger, books, debits, credits, posting, accounting, out of balance, unbalanced, trial balance, "
        "balance sheet, gl, double entry"
    ),
    "reconciliation": (
        "reconcile, reconciliation, recon, unmatched, break, statement, does not tie, discrepancy, "
        "matching, mt940, camt.053, difference, settlement report, do not add up, tie out, unexplained"
    ),
    "rounding": (
        "rounding, cent, penny, decimals, two places, 0.01, minor unit, bigdecimal, half up, "
        "ArithmeticException"
    ),
    "fee": "fee, charge, commission, pricing, tariff, interchange, deducted",
    "callback": (
        "webhook, callback, status update, acknowledgement, ack, notification url, event notification, "
        "postback, ipn, push update, endpoint url, status message"
    ),
    "order": "order, transaction, payment",
    "beneficiary": (
        "beneficiary, recipient, payee, receiver, account number, iban, ifsc, account closed, invalid "
        "account, name mismatch, creditor, bic, swift code, routing number, sort code, account name, ac01, "
        "ac04, mobile wallet, closed account, dormant, upi, vpa, msisdn, account details, bank code"
    ),
    "reference": (
        "reference, end to end id, idempotency key, request id, transaction id, uetr, order id, correlation "
        "id, uuid, dedupe key, message id"
    ),
    "corridor": (
        "corridor, rail, scheme, unsupported currency, swift, sepa, ach, imps, neft, rtgs, faster payments, "
        "no route"
    ),
    "cancellation": "cancel, abort, interrupted, stopped by user, withdrawn",
}
