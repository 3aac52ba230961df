//! Downloads the garment photographs with git: one commit, whose id vouches for every byte.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::DatasetError;
use super::identity::sha256_hex;

/// A published commit that holds folders of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    /// Where git fetches it.
    pub url: &'a str,
    /// The commit's id, 40 hexadecimal digits. git compares every file with it.
    pub commit: &'a str,
    /// Top folders that are wanted.
    pub parts: &'a [&'a str],
    /// Number of files in them.
    pub files: usize,
    /// sha256 of their sorted names, `part/class/file` and a line feed each.
    pub names_sha256: &'a str,
}

/// clothing-dataset-small (CC0) without its test photographs, which are held back here.
pub const GARMENT_PHOTOS: Repository<'_> = Repository {
    url: "https://github.com/alexeygrigorev/clothing-dataset-small",
    commit: "36364be1969242c019705255cd87aed00c73a939",
    parts: &["train", "validation"],
    files: 3_409,
    names_sha256: "1660ad1f8ebfd3635d9922158b903944de541d74998e955f2a40c1140cc6bf11",
};

/// A download that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A download that grows larger is given up, bytes.
const LARGEST: u64 = 1 << 30;
const POLL: Duration = Duration::from_millis(200);
/// Nothing of the user's settings applies, no question is asked, a dead line is noticed.
const SETTINGS: [&str; 6] = [
    "core.autocrlf=false",
    "core.symlinks=false",
    "core.hooksPath=/dev/null",
    "fetch.fsckObjects=true",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
];

/// Fetches the parts of `repository` into `folder`, which is made; `say` is told what happens.
///
/// A folder that is there with the right names is kept; one with other files is an error, never overwritten. What
/// arrives lies in `folder` with `.part` behind its name until it is whole.
///
/// # Errors
/// [`DatasetError::Missing`] without git, network or the right files; [`DatasetError::Io`] where the folder cannot be
/// written.
pub fn fetch(
    repository: &Repository<'_>,
    folder: &Path,
    mut say: impl FnMut(&str),
) -> Result<(), DatasetError> {
    let io = |source| DatasetError::Io { path: folder.into(), source };
    let is_used = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(io(error)),
    };
    if is_used {
        check(repository, folder)?;
        say(&format!("{}: already here, {} files", folder.display(), repository.files));
        return Ok(());
    }
    let part = crate::files::part_path(folder);
    let _ = fs::remove_dir_all(&part);
    let fetched = fs::create_dir_all(&part).map_err(io).and_then(|()| {
        say(&format!("downloading {} with git", repository.url));
        download(repository, &part)?;
        check(repository, &part)?;
        // An empty folder may be there.
        let _ = fs::remove_dir(folder);
        fs::rename(&part, folder).map_err(io)
    });
    if fetched.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    fetched
}

/// Puts the wanted parts into `folder`, and nothing of git's.
fn download(repository: &Repository<'_>, folder: &Path) -> Result<(), DatasetError> {
    let io = |source| DatasetError::Io { path: folder.into(), source };
    git(repository, folder, &["init", "--quiet"])?;
    git(
        repository,
        folder,
        &["fetch", "--quiet", "--no-tags", "--depth=1", repository.url, repository.commit],
    )?;
    let checkout = [&["checkout", "--quiet", repository.commit, "--"][..], repository.parts].concat();
    git(repository, folder, &checkout)?;
    fs::remove_file(folder.join(MESSAGES)).map_err(io)?;
    fs::remove_dir_all(folder.join(".git")).map_err(io)
}

/// What git says goes into this file of the folder.
const MESSAGES: &str = "git-messages.txt";

/// Runs git in `folder`, for a bounded time and a bounded number of bytes.
fn git(repository: &Repository<'_>, folder: &Path, arguments: &[&str]) -> Result<(), DatasetError> {
    let io = |source| DatasetError::Io { path: folder.into(), source };
    let failed = |problem: &str| {
        DatasetError::Missing(format!(
            "{}, commit {}: {problem}\nPut its folders {} into data/garment-photos by hand, or name their folder in {}.",
            repository.url,
            repository.commit,
            repository.parts.join(" and "),
            super::locate::PHOTOS_VARIABLE
        ))
    };
    let messages = folder.join(MESSAGES);
    let mut command = Command::new("git");
    SETTINGS.iter().for_each(|setting| _ = command.args(["-c", setting]));
    command.args(arguments).current_dir(folder);
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CEILING_DIRECTORIES", folder);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command.stderr(File::create(&messages).map_err(io)?);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed("git is not installed; install it (https://git-scm.com)"));
        }
        Err(error) => return Err(failed(&format!("git: {error}"))),
    };
    match wait(&mut child, folder).map_err(io)? {
        Ended::Well => Ok(()),
        Ended::Badly => {
            let said = fs::read(&messages).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            Err(failed(&format!("git: {}", said.lines().last().unwrap_or("it ended without a word"))))
        }
        Ended::Stopped(limit) => Err(failed(&limit)),
    }
}

/// How a run of git ended.
enum Ended {
    Well,
    Badly,
    /// At this limit.
    Stopped(String),
}

/// Waits for git; ends it at [`TIMEOUT`] and at [`LARGEST`].
fn wait(child: &mut Child, folder: &Path) -> io::Result<Ended> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Ended::Well } else { Ended::Badly });
        }
        let limit = if begin.elapsed() > TIMEOUT {
            Some(format!("given up after {} minutes", TIMEOUT.as_secs() / 60))
        } else if bytes_in(folder) > LARGEST {
            Some(format!("given up: larger than {} MiB", LARGEST >> 20))
        } else {
            None
        };
        if let Some(limit) = limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Stopped(limit));
        }
        std::thread::sleep(POLL);
    }
}

/// Bytes of all files below a folder; those that vanish meanwhile count nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_in(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// Compares the names of the files in the parts with the repository's.
fn check(repository: &Repository<'_>, folder: &Path) -> Result<(), DatasetError> {
    let mut names = Vec::new();
    for part in repository.parts {
        files_below(&folder.join(part), part, &mut names)
            .map_err(|source| DatasetError::Io { path: folder.join(part), source })?;
    }
    names.sort_unstable();
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    if names.len() == repository.files && sha256_hex(list.as_bytes()) == repository.names_sha256 {
        return Ok(());
    }
    Err(DatasetError::Missing(format!(
        "{}: {} files, and not the {} of {}; remove the folder and fetch again, or fetch elsewhere with --out",
        folder.display(),
        names.len(),
        repository.files,
        repository.url
    )))
}

/// Appends the names of all files below `folder`, with `prefix` and `/` between folders.
fn files_below(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => files_below(&entry.path(), &name, names)?,
            false => names.push(name),
        }
    }
    Ok(())
}
