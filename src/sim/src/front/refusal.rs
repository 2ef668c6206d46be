//! Errors in the shape and words of Azure Resource Manager.

use super::http::Answer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Status code.
    pub status: u16,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// `error.target`.
    pub target: Option<String>,
    /// `error.details`.
    pub details: Vec<Value>,
    /// `error.additionalInfo`.
    pub additional: Vec<Value>,
    /// Headers beside the usual ones.
    pub headers: Vec<(String, String)>,
    /// Which machine says so.
    pub origin: Origin,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The front door.
    #[default]
    Arm,
    /// The Machine Learning resource provider: another shape, and headers of its own.
    Provider,
}

/// A handler's result.
pub type Outcome<T = Answer> = Result<T, Refusal>;

impl Refusal {
    /// From the front door.
    pub fn arm(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            target: None,
            details: Vec::new(),
            additional: Vec::new(),
            headers: Vec::new(),
            origin: Origin::Arm,
        }
    }

    /// From the resource provider.
    pub fn provider(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { origin: Origin::Provider, ..Self::arm(status, code, message) }
    }

    /// With `error.target`.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The resource isn't there.
    pub fn not_found(kind: &str, name: &str, group: &str) -> Self {
        Self::arm(
            404,
            "ResourceNotFound",
            format!(
                "The Resource '{}/{kind}/{name}' under resource group '{group}' was not found. For more details please \
                 go to https://aka.ms/ARMResourceNotFoundFix",
                crate::scope::ML
            ),
        )
    }

    /// Its resource group isn't there.
    pub fn no_group(group: &str) -> Self {
        Self::arm(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
    }

    /// The error object.
    pub fn error(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if self.origin == Origin::Provider {
            // The provider's own errors carry many keys, most of them null; clients must not trip over them.
            for key in ["severity", "referenceCode", "detailsUri", "debugInfo"] {
                error[key] = Value::Null;
            }
            error["messageFormat"] = json!(self.message);
            error["messageParameters"] = json!({});
            error["target"] = json!(self.target);
            error["details"] = json!(self.details);
            error["additionalInfo"] = json!(self.additional);
            error["innerError"] = json!({"code": self.code, "innerError": null});
            return error;
        }
        if let Some(target) = &self.target {
            error["target"] = json!(target);
        }
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        if !self.additional.is_empty() {
            error["additionalInfo"] = json!(self.additional);
        }
        error
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = Self::json(refusal.status, json!({"error": refusal.error()}));
        answer.headers = refusal.headers;
        answer
    }
}
