//! Entra's refusals of a token.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| azureml_fuzz::refusals::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    azureml_fuzz::mutate::message(data, size, most, seed)
});
