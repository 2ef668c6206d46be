//! Entra's refusals of a token, and whatever a proxy answers in its place.

use azureml_arm::{ArmError, ErrorClass, ErrorKind, Sent};
use serde_json::Value;

use crate::{answer, errors};

/// The input as [`answer::read`] has it.
pub fn check(data: &[u8]) {
    let answer = answer::read(data);
    let error = ArmError::from_token_refusal(answer.status, &answer.body);
    errors::sound(&error);
    assert_eq!((error.status, error.sent), (Some(answer.status), Sent::NotSent));
    let body = serde_json::from_slice::<Value>(&answer.body).ok();
    let of_status = matches!(answer.status, 408 | 429 | 500..);
    // Nobody is told to mend a credential for what isn't Entra's word on it, or will pass.
    assert_eq!(error.class == ErrorClass::Credential, !of_status && body.is_some(), "{error:?}");
    if let Some(number) = body.as_ref().and_then(|body| body.pointer("/error_codes/0")?.as_u64()) {
        assert_eq!(error.code, format!("AADSTS{number}"));
    }
    assert!(body.is_some() || error.kind != ErrorKind::CredentialRejected);
}
