//! Frames of a byte stream: however the bytes are cut on their way, the frames are the same.
#![no_main]

use bulkhead_transports::fuzzing::frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = frames(b"\r\n", 16, &[stream]);
    let cut: Vec<&[u8]> = stream.chunks(usize::from(cut).max(1)).collect();
    assert_eq!(frames(b"\r\n", 16, &cut), whole);
    assert!(whole.iter().all(|frame| frame.len() <= 16));
});
