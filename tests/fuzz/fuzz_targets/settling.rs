//! Plans that are carried out leave nothing to do.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| azureml_fuzz::settling::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    azureml_fuzz::mutate::json(data, size, most, seed)
});
