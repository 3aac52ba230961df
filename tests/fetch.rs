//! Downloading, against a web server on this machine.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use host::dataset::DatasetError;
use host::dataset::fetch::{OFFICIAL_FILES, fetch};
use host::dataset::locate::candidate_folders;
use support::{Need, have};

/// Serves `answer(file name)` at the returned address until the test program ends; `None` is a 404.
fn serve(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let name = request.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match answer(name) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", b"no".to_vec()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let mut stream = reader.into_inner();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

fn files_in(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn wrong_bytes_are_refused_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (wrong, absent) = (serve(|_| Some(b"something else".to_vec())), serve(|_| None));
    let error = fetch(folder.path(), &[&wrong, &absent], |_| ()).unwrap_err();
    assert!(matches!(error, DatasetError::Missing(_)), "{error}");
    let message = error.to_string();
    assert!(message.contains("sha256 is") && message.contains("404"), "{message}");
    assert_eq!(files_in(&folder), Vec::<PathBuf>::new());
}

#[test]
fn a_file_already_here_is_checked_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join(OFFICIAL_FILES[0].name);
    std::fs::write(&mine, b"mine").unwrap();
    let error = fetch(folder.path(), &[], |_| ()).unwrap_err();
    assert!(matches!(error, DatasetError::Checksum { .. }), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
}

#[test]
fn the_official_files_come_through_the_second_source() {
    if !have("the_official_files_come_through_the_second_source", &[Need::Data]) {
        return;
    }
    let holds_gzipped = |folder: &PathBuf| OFFICIAL_FILES.iter().all(|file| folder.join(file.name).is_file());
    let official = candidate_folders().into_iter().find(holds_gzipped);
    let official = official.expect("FASHION_MNIST_DIR or data/fashion-mnist holds the four gzipped files");
    let good = serve(move |name| std::fs::read(official.join(name)).ok());
    let absent = serve(|_| None);
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    fetch(folder.path(), &[&absent, &good], |line| said += line).unwrap();
    assert_eq!(files_in(&folder).len(), OFFICIAL_FILES.len(), "no part may stay");
    fetch(folder.path(), &[], |line| said += line).unwrap();
    assert!(said.contains("already here, checksum right"), "{said}");
}
