//! `host data`: fetch, info, head, tail, and PNGs of drawn garments.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rand::SeedableRng;
use shared::{Label, PIXELS, SIDE};

use super::{DataArgs, print_json, print_line, shown};
use crate::dataset::{Dataset, DatasetError, Samples, drawn, fetch, locate};
use crate::report::png;

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Download the official files, checked by sha256
    Fetch(FetchArgs),
    /// Counts, shapes, class balance, mean, spread, hash
    Info(InfoArgs),
    /// First rows as a table
    Head(RowsArgs),
    /// Last rows as a table
    Tail(RowsArgs),
    /// Draw garments and write them as PNG files
    Draw(DrawArgs),
}

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// Where to put the files [default: data/fashion-mnist of the project]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    data: DataArgs,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RowsArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Number of rows
    #[arg(short = 'n', long, default_value_t = 5)]
    rows: usize,
    /// The test part instead of the training part
    #[arg(long)]
    test: bool,
}

#[derive(Debug, Args)]
pub(super) struct DrawArgs {
    /// Folder for the PNG files, one a class and number
    #[arg(long, value_name = "FOLDER", default_value = "data/drawn")]
    out: PathBuf,
    /// Images of each class
    #[arg(long, default_value_t = 1)]
    per_class: usize,
    /// Seed of proportions, slant, shade and noise
    #[arg(long, default_value_t = drawn::DEFAULT_SEED)]
    seed: u64,
}

impl DataCommand {
    pub(super) fn run(self) -> Result<()> {
        match self {
            DataCommand::Fetch(args) => {
                let folder = args.out.unwrap_or_else(locate::download_folder);
                locate::check_online()?;
                fetch::fetch(&folder, &fetch::SOURCES, |line| eprintln!("{line}")).map_err(|error| {
                    match error {
                        DatasetError::Missing(problem) => {
                            DatasetError::Missing(format!("{problem}\n{}", locate::where_to_put_them()))
                        }
                        other => other,
                    }
                })?;
                print_line(shown(&folder))
            }
            DataCommand::Info(args) => info(&args.data.load()?, args.json),
            DataCommand::Head(args) => {
                let dataset = args.data.load()?;
                let part = if args.test { &dataset.test } else { &dataset.train };
                table(part, 0, args.rows.min(part.len()))
            }
            DataCommand::Tail(args) => {
                let dataset = args.data.load()?;
                let part = if args.test { &dataset.test } else { &dataset.train };
                table(part, part.len().saturating_sub(args.rows), part.len())
            }
            DataCommand::Draw(args) => draw(&args),
        }
    }
}

fn info(dataset: &Dataset, json: bool) -> Result<()> {
    let parts = [("train", &dataset.train), ("test", &dataset.test)];
    if json {
        let part = |samples: &Samples| {
            let (mean, spread) = samples.pixel_statistics();
            serde_json::json!({
                "images": samples.len(),
                "shape": [samples.len(), SIDE, SIDE],
                "class_counts": samples.class_counts(),
                "pixel_mean": mean,
                "pixel_standard_deviation": spread,
            })
        };
        return print_json(&serde_json::json!({
            "dataset": dataset.kind.name(),
            "source": dataset.source,
            "sha256": dataset.sha256,
            "train": part(&dataset.train),
            "test": part(&dataset.test),
        }));
    }
    print_line(format_args!("data set  {} ({})", dataset.kind.name(), dataset.source))?;
    print_line(format_args!("sha256    {}", dataset.sha256))?;
    for (name, samples) in parts {
        let (mean, spread) = samples.pixel_statistics();
        print_line(format_args!(
            "{name:<9} {} images {SIDE}×{SIDE}, pixels 0..=255, mean {mean:.2}, standard deviation {spread:.2}",
            samples.len()
        ))?;
    }
    print_line(format_args!("\n{:<3} {:<12} {:>7} {:>7}", "", "class", "train", "test"))?;
    let (train, test) = (dataset.train.class_counts(), dataset.test.class_counts());
    for label in Label::ALL {
        let index = label.index();
        print_line(format_args!("{index:<3} {label:<12} {:>7} {:>7}", train[index], test[index]))?;
    }
    Ok(())
}

/// Prints rows as pandas shows a wide frame: the first and last pixels, dots between.
fn table(samples: &Samples, from: usize, to: usize) -> Result<()> {
    const SHOWN: usize = 4;
    let left: Vec<usize> = (0..SHOWN).collect();
    let right: Vec<usize> = (PIXELS - SHOWN..PIXELS).collect();
    let cells = |columns: &[usize], text: &dyn Fn(usize) -> String| -> String {
        columns.iter().map(|&column| format!(" {:>8}", text(column))).collect()
    };
    let header = |column: usize| format!("pixel{}", column + 1);
    print_line(format_args!(
        "{:>6} {:>5}{}  ...{}",
        "",
        "label",
        cells(&left, &header),
        cells(&right, &header)
    ))?;
    for row in from..to {
        let image = samples.image(row);
        let value = |column: usize| image[column].to_string();
        print_line(format_args!(
            "{row:>6} {:>5}{}  ...{}",
            samples.labels[row],
            cells(&left, &value),
            cells(&right, &value)
        ))?;
    }
    print_line(format_args!("\n[{} rows × {} columns, of {} rows]", to - from, PIXELS + 1, samples.len()))
}

fn draw(args: &DrawArgs) -> Result<()> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(args.seed);
    for number in 0..args.per_class {
        for label in Label::ALL {
            let image = drawn::garment(label, &mut rng);
            let path = file_name(&args.out, label, number);
            png::write_gray(&path, SIDE, SIDE, &image).with_context(|| path.display().to_string())?;
            print_line(shown(&path))?;
        }
    }
    Ok(())
}

fn file_name(folder: &Path, label: Label, number: usize) -> PathBuf {
    let name = label.name().to_lowercase().replace([' ', '/'], "-");
    folder.join(format!("{}-{name}-{number}.png", label.index()))
}
