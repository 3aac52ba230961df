//! Downloading, against a web server and a repository of git on this machine.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use host::dataset::DatasetError;
use host::dataset::fetch::{OFFICIAL_FILES, fetch};
use host::dataset::fetch_photos::{self, GARMENT_PHOTOS, Repository};
use host::dataset::identity::sha256_hex;
use host::dataset::locate::{candidate_folders, photos_folder};
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

/// Runs git in a folder and returns what it printed.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=false"]);
    let output = command.args(arguments).current_dir(folder).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a folder of files a repository, with a second commit upon the one whose id is returned.
fn publish(folder: &Path) -> String {
    git(folder, &["init", "--quiet"]);
    git(folder, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "pictures"]);
    let commit = git(folder, &["rev-parse", "HEAD"]);
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "later"]);
    commit
}

const NAMES: [&str; 4] = ["test/hat/1.jpg", "train/a dress/ü.jpg", "train/hat/2.jpg", "validation/hat/3.jpg"];

/// A published repository of [`NAMES`] with the name in each file.
fn small_repository() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let commit = publish(folder.path());
    (folder, commit)
}

fn names_sha256() -> String {
    sha256_hex(NAMES[1..].iter().map(|name| format!("{name}\n")).collect::<String>().as_bytes())
}

/// The training and validation part of what [`small_repository`] published.
fn repository<'a>(
    published: &'a tempfile::TempDir,
    commit: &'a str,
    names_sha256: &'a str,
) -> Repository<'a> {
    let url = published.path().to_str().unwrap();
    Repository { url, commit, parts: &["train", "validation"], files: 3, names_sha256 }
}

#[test]
fn photographs_come_from_one_commit_without_the_test_part() {
    let (published, commit) = small_repository();
    let names_sha256 = names_sha256();
    let repository = repository(&published, &commit, &names_sha256);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("photos of clothes");
    // A torn download of before.
    std::fs::create_dir(home.path().join("photos of clothes.part")).unwrap();
    fetch_photos::fetch(&repository, &folder, |_| ()).unwrap();
    for name in &NAMES[1..] {
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), *name);
    }
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!((entries(home.path()), entries(&folder)), (1, 2), "no part, no .git, no test");
    let mut said = String::new();
    fetch_photos::fetch(&repository, &folder, |line| said += line).unwrap();
    assert!(said.contains("already here, 3 files"), "{said}");

    std::fs::write(folder.join("train/hat/mine.jpg"), "mine").unwrap();
    let error = fetch_photos::fetch(&repository, &folder, |_| ()).unwrap_err();
    assert!(error.to_string().contains("4 files, and not the 3") && error.exit_code() == 3, "{error}");
    assert!(folder.join("train/hat/mine.jpg").exists());
}

#[test]
fn photographs_of_another_commit_or_with_other_names_leave_nothing_behind() {
    let (published, commit) = small_repository();
    let names_sha256 = names_sha256();
    let right = repository(&published, &commit, &names_sha256);
    let zeros = "0".repeat(40);
    let wrong = [
        (Repository { commit: &zeros, ..right }, "git: "),
        (Repository { url: "/nowhere/at all", ..right }, "/nowhere/at all"),
        (Repository { parts: &["train", "absent"], ..right }, "absent"),
        (Repository { parts: &["train"], ..right }, "2 files, and not the 3"),
        (Repository { names_sha256: &zeros, ..right }, "3 files, and not the 3"),
    ];
    for (repository, expected) in wrong {
        let home = tempfile::tempdir().unwrap();
        let error = fetch_photos::fetch(&repository, &home.path().join("photos"), |_| ()).unwrap_err();
        assert!(matches!(error, DatasetError::Missing(_)) && error.to_string().contains(expected), "{error}");
        assert_eq!(files_in(&home), Vec::<PathBuf>::new());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = fetch_photos::fetch(&right, file.path(), |_| panic!("nothing is downloaded")).unwrap_err();
    assert!(matches!(&error, DatasetError::Io { path, .. } if path == file.path()), "{error}");
}

#[test]
fn the_garment_photographs_have_the_published_names() {
    if !have("the_garment_photographs_have_the_published_names", &[Need::Photos]) {
        return;
    }
    let mut said = String::new();
    fetch_photos::fetch(&GARMENT_PHOTOS, &photos_folder().unwrap(), |line| said += line).unwrap();
    assert!(said.contains("already here, 3409 files"), "{said}");
}
