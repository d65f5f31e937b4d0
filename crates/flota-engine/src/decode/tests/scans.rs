//! Scans whose data are longer or shorter than they must be.

use std::ops::Range;

use flota_core::{Code, Limits};

use super::{PROGRESSIVE, RESTART, code, decoded};
use crate::decode;

/// A scan for each component, without restart markers.
const SCAN_EACH: &[u8] = include_bytes!("../../../tests/fixtures/jpeg/scan_each.jpg");
const FILES: [(&str, &[u8]); 2] = [("progressive", PROGRESSIVE), ("scan for each", SCAN_EACH)];

/// Where the data of scans are in a file.
fn scans(file: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 2;
    while file[at + 1] != 0xd9 {
        let is_scan = file[at + 1] == 0xda;
        at += 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        if is_scan {
            let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
            let length = file[at..].windows(2).position(is_marker).unwrap();
            found.push(at..at + length);
            at += length;
        }
    }
    assert!(found.len() > 2);
    found
}

/// libjpeg passes over it, and so do Pillow and browsers.
#[test]
fn what_stands_behind_a_scan_is_passed_over() {
    for (name, file) in FILES {
        for scan in scans(file) {
            for surplus in [&[0; 40][..], &[0x12, 0x34, 0x56], &[0xff, 0]] {
                let (before, after) = file.split_at(scan.end);
                let padded = [before, surplus, after].concat();
                let (found, expected) = (decoded(&padded), decoded(file));
                // Where libjpeg-turbo has refused it, another decoder has read it.
                let pixels = found.pixels.iter().zip(&expected.pixels);
                let distance = pixels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(distance <= 6, "{name}: {surplus:?} at {}: {distance}", scan.end);
            }
        }
    }
}

#[test]
fn a_scan_that_ends_early_is_refused_wherever_it_does() {
    for (name, file) in FILES {
        for scan in scans(file) {
            for cut in scan.clone() {
                let short = [&file[..cut], &file[scan.end..]].concat();
                assert_eq!(code(&short), Code::DecodeCorrupt, "{name}: {cut} of {scan:?}");
            }
        }
    }
}

/// A cut between two scans leaves a coarser image, which is what a progressive file is for.
#[test]
fn an_end_marker_behind_a_cut_within_a_scan_deceives_nobody() {
    let scans = scans(PROGRESSIVE);
    for length in scans[0].start..PROGRESSIVE.len() - 2 {
        let ended = [&PROGRESSIVE[..length], &[0xff, 0xd9]].concat();
        let is_within = scans.iter().any(|scan| scan.contains(&length));
        if is_within || length <= scans[0].end {
            assert_eq!(code(&ended), Code::DecodeCorrupt, "cut to {length}");
        }
    }
    let coarse = [&PROGRESSIVE[..scans[1].end], &[0xff, 0xd9]].concat();
    let coarse = decode(&coarse, &Limits::default()).unwrap();
    assert_ne!(coarse.pixels, decoded(PROGRESSIVE).pixels);
}

/// Where restart markers are in a file of one scan.
fn restarts(file: &[u8]) -> Vec<usize> {
    let header = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let is_restart = |at: &usize| file[*at] == 0xff && matches!(file[*at + 1], 0xd0..=0xd7);
    let found: Vec<usize> = (header..file.len() - 2).filter(is_restart).collect();
    assert!(found.len() > 1);
    found
}

#[test]
fn a_restart_interval_that_ends_early_is_refused() {
    let restarts = restarts(RESTART);
    for (start, end) in restarts.iter().zip(&restarts[1..]) {
        for cut in start + 2..*end {
            let short = [&RESTART[..cut], &RESTART[*end..]].concat();
            assert_eq!(code(&short), Code::DecodeCorrupt, "cut at {cut} before {end}");
        }
    }
}

#[test]
fn what_stands_behind_a_restart_interval_is_passed_over() {
    let expected = decoded(RESTART).pixels;
    for at in restarts(RESTART) {
        for surplus in [&[0; 40][..], &[0x12, 0x34, 0x56], &[0xff, 0]] {
            let (before, after) = RESTART.split_at(at);
            let found = decoded(&[before, surplus, after].concat()).pixels;
            let distance = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(distance <= Some(6), "{surplus:?} at {at}: {distance:?}");
        }
    }
}

/// libjpeg ends a scan at a marker that it does not await, and other decoders go on behind it.
#[test]
fn restart_markers_are_as_many_as_the_interval_says() {
    let restarts = restarts(RESTART);
    let end = RESTART.len() - 2;
    let next = 0xd0 + restarts.len() as u8 % 8;
    let more = [&RESTART[..end], &[0xff, next], &RESTART[end..]].concat();
    let last = restarts[restarts.len() - 1];
    let fewer = [&RESTART[..last], &RESTART[last + 2..]].concat();
    let interval = RESTART.windows(4).position(|bytes| bytes == [0xff, 0xdd, 0, 4]).unwrap();
    let unannounced = [&RESTART[..interval], &RESTART[interval + 6..]].concat();
    let mut longer = RESTART.to_vec();
    longer[interval + 4..][..2].fill(0xff);
    for (what, file) in
        [("more", more), ("fewer", fewer), ("unannounced", unannounced), ("longer", longer)]
    {
        assert_eq!(code(&file), Code::DecodeCorrupt, "{what}");
    }
    for (name, file) in FILES {
        for scan in scans(file) {
            for at in [scan.start + 1, scan.end] {
                let stray = [&file[..at], &[0xff, 0xd0], &file[at..]].concat();
                assert_eq!(code(&stray), Code::DecodeCorrupt, "{name}: {at} of {scan:?}");
            }
        }
    }
}
