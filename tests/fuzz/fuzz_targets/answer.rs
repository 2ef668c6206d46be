//! ARM's answers as a response, a page, an operation and a budget.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| azureml_fuzz::answer::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    azureml_fuzz::mutate::message(data, size, most, seed)
});
