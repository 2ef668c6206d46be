//! Whether an answer is the resource that was asked for. A proxy, a portal's sign-in page or an empty answer with the
//! status 200 must not pass for what Azure has, nor for a write that was done.

use serde_json::Value;

use super::{Response, unreadable};
use crate::ArmError;

impl Response {
    /// The answer, if it is the resource of that id (compared without case), or a 202 or 204, which hold none.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadAnswer`] otherwise. A write may have been done all the same.
    pub(super) fn of(self, id: &str, method: &str) -> Result<Self, ArmError> {
        let named = self.body.get("id").and_then(Value::as_str);
        if !matches!(self.status, 200 | 201) || named.is_some_and(|named| named.eq_ignore_ascii_case(id)) {
            return Ok(self);
        }
        let reason = match named {
            Some(named) => format!("the answer is another resource, {named}"),
            None => "the answer is no resource: something between here and Azure may have given it".to_owned(),
        };
        let mut error = unreadable(self.status, &http::HeaderMap::new(), &reason, &format!("{method} {id}"));
        error.correlation_id = self.correlation_id;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;
    use crate::error::Sent;

    #[test]
    fn only_the_resource_itself_is_one() {
        let id = "/subscriptions/s/resourceGroups/g";
        let rows = [
            (200, json!({"id": "/Subscriptions/s/resourcegroups/G"}), true),
            (201, json!({"id": id}), true),
            (202, Value::Null, true),
            (204, Value::Null, true),
            (200, Value::Null, false),
            (201, json!({}), false),
            (200, json!([1]), false),
            (200, json!("html"), false),
            (200, json!({"id": 7}), false),
            (200, json!({"id": "/subscriptions/s/resourceGroups/other"}), false),
        ];
        for (status, body, is_it) in rows {
            let response =
                Response { status, body: body.clone(), operation: None, retry_after: None, correlation_id: None };
            match response.of(id, "GET") {
                Ok(_) => assert!(is_it, "{status} {body}"),
                Err(error) => {
                    assert!(!is_it, "{status} {body}");
                    assert_eq!((error.kind, error.sent), (ErrorKind::BadAnswer, Sent::MaybeProcessed));
                }
            }
        }
    }
}
