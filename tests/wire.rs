//! Faults on the wire: whatever happens to board, port or emulator, the command ends in time, with words and exit code.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use host::device::soak::{InMemory, Interpreted};
use host::model_dir::ModelDir;
use support::{Need, have};

/// A pseudo-terminal: the test holds the board's end, the command opens the other by name.
struct Board {
    end: File,
    port: String,
}

impl Board {
    fn new() -> Self {
        // SAFETY: plain calls of POSIX; the descriptor is owned by the file from here on.
        #[allow(unsafe_code)]
        let (end, name) = unsafe {
            let end = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK);
            assert!(end >= 0 && libc::grantpt(end) == 0 && libc::unlockpt(end) == 0);
            let mut name = [0; 128];
            assert_eq!(libc::ptsname_r(end, name.as_mut_ptr(), name.len()), 0);
            (File::from_raw_fd(end), name)
        };
        let port =
            name.iter().take_while(|&&letter| letter != 0).map(|&letter| letter as u8 as char).collect();
        Self { end, port }
    }

    /// Talks to `device hil` over the port with what `play` does at the board's end; returns what the command said.
    fn hil(self, play: impl FnOnce(File) + Send) -> (Output, Duration) {
        let Self { end, port } = self;
        let begun = Instant::now();
        let child = hil(&["--port", &port]);
        std::thread::scope(|scope| {
            scope.spawn(|| play(end));
            (finish(child), begun.elapsed())
        })
    }
}

/// Plays the board until the time is up or the port is gone: `step` may find nothing to read or no room to write.
fn play(seconds: u64, mut step: impl FnMut() -> std::io::Result<()>) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        match step() {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
            Ok(()) => {}
        }
    }
}

fn hil(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_garments"));
    command
        .args(["device", "hil", "--model", "nano", "--dataset", "drawn", "--images", "100"])
        .args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a command, which has a minute.
fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap()
}

/// Fails unless the command failed and its last line says one of these.
fn told(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && words.iter().any(|word| last.contains(word)), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

/// Fails unless all images were answered as on the desktop.
fn answered(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 mismatches"), "{output:?}");
}

#[test]
fn a_silent_port_is_given_up() {
    // Whoever holds the other end neither reads nor writes.
    let (output, spent) = Board::new().hil(|_end| std::thread::sleep(Duration::from_secs(20)));
    told(&output, &["did not answer"]);
    assert!(spent < Duration::from_secs(50), "{spent:?}");
}

#[test]
fn noise_of_a_wrong_baud_rate_is_given_up() {
    let (output, _) = Board::new().hil(|mut end| {
        play(20, || {
            let mut buffer = [0; 4096];
            let count = end.read(&mut buffer)?;
            // Each byte comes back as others.
            let noise = buffer[..count].iter().flat_map(|byte| [byte.rotate_left(3) | 0x81, byte >> 2]);
            end.write_all(&noise.collect::<Vec<u8>>())
        });
    });
    told(&output, &["did not answer"]);
}

#[test]
fn a_board_that_talks_without_end_is_given_up() {
    let (output, _) = Board::new().hil(|mut end| play(20, || end.write_all(&[0x55; 256])));
    // It may not even take a request.
    told(&output, &["did not answer", "was lost"]);
}

#[test]
fn a_port_that_vanishes_is_told() {
    let (output, spent) = Board::new().hil(|mut end| {
        // The first request has come.
        let mut buffer = [0; 64];
        play(20, || match end.read(&mut buffer)? {
            0 => Ok(()),
            _ => Err(std::io::ErrorKind::BrokenPipe.into()),
        });
    });
    told(&output, &["was lost", "hung up", "did not answer"]);
    assert!(spent < Duration::from_secs(30), "{spent:?}");
    let gone = finish(hil(&["--port", "/dev/ttyGONE7"]));
    let text = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(!gone.status.success() && text.contains("/dev/ttyGONE7"), "{text}");
}

/// A board with `nano` at this end of a port, which takes so many bytes at a time and pauses after them.
///
/// * `until_reset`: it resets whenever it has received so many: what it knew of a picture and what it was about to send
///   is lost.
fn serve(mut end: File, at_a_time: usize, pause: Duration, mut until_reset: impl FnMut() -> usize) {
    let dir = ModelDir::new(&host::project_root().join("models/nano"));
    let network = dir.read_firmware().unwrap();
    let (hash, confidence) = (dir.network_hash().unwrap(), dir.confidence().unwrap());
    let board = || InMemory::new(Interpreted::new("nano".into(), hash, network.clone(), confidence));
    let (mut app, mut left) = (board(), until_reset());
    let mut unsent = Vec::new();
    play(50, || {
        let mut buffer = [0; 4096];
        if unsent.is_empty() {
            let count = end.read(&mut buffer[..at_a_time])?;
            std::thread::sleep(pause);
            let before = count.min(left);
            app.write_all(&buffer[..before])?;
            left -= before;
            if left == 0 {
                (app, left) = (board(), until_reset());
                app.write_all(&buffer[before..count])?;
            }
            let count = app.read(&mut buffer).unwrap_or(0);
            unsent.extend_from_slice(&buffer[..count]);
        }
        let sent = end.write(&unsent)?;
        unsent.drain(..sent);
        Ok(())
    });
}

#[test]
fn a_board_that_resets_begins_again_and_answers() {
    let mut reset = 1_000;
    let play = |end| {
        serve(end, 4096, Duration::ZERO, || {
            // At another place of a picture each time.
            reset += 7_777;
            reset
        })
    };
    answered(&Board::new().hil(play).0);
}

#[test]
fn a_slow_reader_is_waited_for() {
    let slowly = |end| serve(end, 64, Duration::from_millis(5), || usize::MAX);
    answered(&Board::new().hil(slowly).0);
}

#[test]
fn a_board_that_only_resets_is_given_up() {
    let (output, _) = Board::new().hil(|end| serve(end, 4096, Duration::ZERO, || 200));
    told(&output, &["did not answer", "lost pieces"]);
}

#[test]
fn an_emulator_that_dies_ends_the_comparison() {
    if !have("an_emulator_that_dies_ends_the_comparison", &[Need::Emulator]) {
        return;
    }
    // The image is built first, so that there is something to kill.
    let built = Command::new(env!("CARGO_BIN_EXE_garments"))
        .args(["device", "build", "--model", "nano"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let child = hil(&["--emulate", "--jobs", "1"]);
    let parent = child.id().to_string();
    let begun = Instant::now();
    let emulator = loop {
        let found = Command::new("pgrep").args(["-P", &parent, "-f", "--", "-machine"]).output().unwrap();
        let text = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if !text.is_empty() {
            break text;
        }
        assert!(begun.elapsed() < Duration::from_secs(50), "no emulator was started");
        std::thread::sleep(Duration::from_millis(50));
    };
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(Command::new("kill").args(["-9", &emulator]).status().unwrap().success());
    told(&finish(child), &["hung up", "was lost"]);
}
