//! How an operation goes, from either kind of URL: Azure-AsyncOperation answers 200 with a
//! status; Location answers 202 while it runs, then what the request itself would have
//! answered (Azure's Resource Provider Contract, async-api-reference).

use std::time::Duration;

use serde_json::Value;

use crate::error::Sent;
use crate::{ArmError, ErrorKind};

/// How an operation goes.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationStatus {
    /// It runs.
    Running {
        /// How long Azure asks to wait before looking again.
        retry_after: Option<Duration>,
    },
    /// It ended well.
    Succeeded,
    /// It failed, and this is why.
    Failed(ArmError),
    /// It was cancelled.
    Canceled(ArmError),
    /// 403 or 404: no detail to be had. Not a failure of the operation.
    NotAvailable(ArmError),
}

/// Reads a 2xx.
pub(super) fn of_answer(status: u16, body: &Value, retry_after: Option<Duration>) -> OperationStatus {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let stated = text("/status").or_else(|| text("/properties/provisioningState"));
    match (status, stated.map(str::to_ascii_lowercase).as_deref()) {
        (_, Some("succeeded")) => OperationStatus::Succeeded,
        (_, Some("failed")) => {
            OperationStatus::Failed(reason(body, "Failed", "the operation failed and Azure gives no reason"))
        }
        (_, Some("canceled" | "cancelled")) => {
            OperationStatus::Canceled(reason(body, "Canceled", "the operation was cancelled and Azure gives no reason"))
        }
        (202, _) | (_, Some(_)) => OperationStatus::Running { retry_after },
        (_, None) => OperationStatus::Succeeded,
    }
}

/// Reads what isn't a 2xx. A Location ends in the error that the request would have got.
pub(super) fn of_error(error: ArmError) -> Result<OperationStatus, ArmError> {
    match (error.status, &error.kind) {
        (Some(403 | 404), _) => Ok(OperationStatus::NotAvailable(error)),
        (Some(401 | 408 | 429), _) | (_, ErrorKind::Throttled(_)) => Err(error),
        (Some(400..=499), _) => Ok(OperationStatus::Failed(error)),
        _ => Err(error),
    }
}

/// The error in an operation's body.
fn reason(body: &Value, code: &str, message: &str) -> ArmError {
    ["/error", "/properties/error", "/properties/statusMessage", "/properties/provisioningErrors", "/properties/errors"]
        .into_iter()
        .find_map(|pointer| body.pointer(pointer).filter(|error| !error.is_null()))
        .map_or_else(|| ArmError::new(ErrorKind::Unknown, code, message, "", Sent::Answered), ArmError::from_error_body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_both_shapes() {
        let running = "running";
        let rows = [
            (200, json!({"status": "InProgress"}), running, ""),
            (200, json!({"status": "Accepted", "error": null}), running, ""),
            (200, json!({"status": "Succeeded", "percentComplete": 100.0}), "succeeded", ""),
            (200, json!({"status": "succeeded"}), "succeeded", ""),
            (
                200,
                json!({"status": "Failed", "error": {"code": "AllocationFailed", "message": "m"}}),
                "failed",
                "AllocationFailed",
            ),
            (
                200,
                json!({"status": "Failed", "properties": {"error": {"error": {"code": "X", "message": "m"}}}}),
                "failed",
                "X",
            ),
            (200, json!({"status": "Failed"}), "failed", "Failed"),
            (200, json!({"status": "Failed", "error": null}), "failed", "Failed"),
            (
                200,
                json!({"status": "Canceled", "error": {"code": "OperationCanceled", "message": "m"}}),
                "canceled",
                "OperationCanceled",
            ),
            (200, json!({"status": "Cancelled"}), "canceled", "Canceled"),
            (202, json!(null), running, ""),
            (202, json!({}), running, ""),
            (204, json!(null), "succeeded", ""),
            (200, json!(null), "succeeded", ""),
            (200, json!({"id": "/x", "properties": {"provisioningState": "Succeeded"}}), "succeeded", ""),
            (200, json!({"id": "/x", "properties": {"provisioningState": "Updating"}}), running, ""),
            (200, json!({"status": null, "properties": {"provisioningState": "Failed"}}), "failed", "Failed"),
            (
                200,
                json!({"id": "/x", "properties": {"provisioningState": "Failed", "provisioningErrors": [{"error": {"code": "Y", "message": "m"}}]}}),
                "failed",
                "Y",
            ),
            (200, json!({"id": "/x", "properties": {}}), "succeeded", ""),
        ];
        for (status, body, expected, code) in rows {
            let wait = Some(Duration::from_secs(5));
            let (name, error) = match of_answer(status, &body, wait) {
                OperationStatus::Running { retry_after } => {
                    assert_eq!(retry_after, wait);
                    (running, None)
                }
                OperationStatus::Succeeded => ("succeeded", None),
                OperationStatus::Failed(error) => ("failed", Some(error)),
                OperationStatus::Canceled(error) => ("canceled", Some(error)),
                OperationStatus::NotAvailable(_) => ("not available", None),
            };
            assert_eq!(name, expected, "{status} {body}");
            assert_eq!(error.map(|e| e.code).unwrap_or_default(), code, "{status} {body}");
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_is_no_failure() {
        let rows = [
            (400, "failed"),
            (401, "unread"),
            (403, "not available"),
            (404, "not available"),
            (408, "unread"),
            (409, "failed"),
            (429, "unread"),
            (500, "unread"),
            (503, "unread"),
        ];
        for (status, expected) in rows {
            let error =
                ArmError::from_response(status, &http::HeaderMap::new(), b"{}", "GET /o", jiff::Timestamp::UNIX_EPOCH);
            let name = match of_error(error) {
                Ok(OperationStatus::Failed(_)) => "failed",
                Ok(OperationStatus::NotAvailable(_)) => "not available",
                Ok(_) => "other",
                Err(_) => "unread",
            };
            assert_eq!(name, expected, "{status}");
        }
        let network = ArmError::new(ErrorKind::Network, "ConnectionFailed", "m", "GET /o", Sent::MaybeProcessed);
        assert!(of_error(network).is_err());
    }
}
