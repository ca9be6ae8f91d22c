#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lowband_fuzz::packed::run(data));
