//! `host data`: fetch, info, head, tail, show, grid, and PNGs of drawn garments.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::fashion_mnist::{Label, SHAPE};
use shared::preprocess::Preprocessing;

use super::{DataArgs, Failure, print_json, print_line, remark, shown, terminal};
use crate::dataset::locate::Pictures;
use crate::dataset::{Dataset, DatasetError, Samples, drawn, fetch, fetch_photos, locate};
use crate::evaluate::compose;
use crate::report::garments::{self, Garment};
use crate::report::png;

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Download Fashion-MNIST, checked by sha256, or the garment photographs, by one commit of git
    Fetch(FetchArgs),
    /// Counts, shapes, class balance, mean, spread, hash
    Info(InfoArgs),
    /// First rows as a table
    Head(RowsArgs),
    /// Last rows as a table
    Tail(RowsArgs),
    /// Show one image in the terminal, and as a PNG file where asked
    Show(ShowArgs),
    /// Write a PNG grid of random images with their labels
    Grid(GridArgs),
    /// Make photograph-like PNG files of test images, to try `host predict` on
    Compose(ComposeArgs),
    /// Draw garments and write them as PNG files
    Draw(DrawArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  host data fetch\n  host data fetch --dataset garment-photos")]
pub(super) struct FetchArgs {
    /// Which data set
    #[arg(long, value_enum, default_value = "fashion-mnist", value_name = "NAME")]
    dataset: Published,
    /// Where to put the files [default: data/fashion-mnist or data/garment-photos of the project]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// A data set that can be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Published {
    /// 70,000 gray pictures of 28×28 (MIT), 30 MB.
    FashionMnist,
    /// 3,409 photographs of clothes in ten classes (CC0); needs git.
    #[value(alias = "photos")]
    GarmentPhotos,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  host data info\n  host data info --data ~/kaggle --json")]
pub(super) struct InfoArgs {
    #[command(flatten)]
    data: DataArgs,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  host data head\n  host data tail -n 10 --test")]
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
#[command(
    after_help = "Examples:\n  host data show --index 42 --test\n  host data show --random --out garment.png\n  \
host data show --random --seed 7 > garment.txt     the same image every time"
)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["index", "random"])))]
pub(super) struct ShowArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Number of the image, from 0
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Any image
    #[arg(long)]
    random: bool,
    /// Seed of that choice [default: another one every time]
    #[arg(long, requires = "random")]
    seed: Option<u64>,
    /// The test part instead of the training part
    #[arg(long)]
    test: bool,
    /// Write the image here too, enlarged ten times
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host data grid --rows 15 --cols 15 --out grid.png")]
pub(super) struct GridArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Rows of images
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=100))]
    rows: u16,
    /// Columns of images
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=100))]
    cols: u16,
    /// Seed of the choice of images
    #[arg(long, default_value_t = 12_345)]
    seed: u64,
    /// The test part instead of the training part
    #[arg(long)]
    test: bool,
    /// The picture
    #[arg(long, value_name = "FILE.png", default_value = "grid.png")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "640×480 in colour: off the centre, dark on white or light on gray, tinted, with noise; the same\n\
pictures for the same seed.\n\nExample:\n  host data compose --images 20 --out photos && host predict photos"
)]
pub(super) struct ComposeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// How many of the first test images
    #[arg(long, default_value_t = 20)]
    images: usize,
    /// Seed of sizes, places, colours and noise
    #[arg(long, default_value_t = compose::DEFAULT_SEED)]
    seed: u64,
    /// Folder for the PNG files
    #[arg(long, value_name = "FOLDER", default_value = "photos")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host data draw --per-class 3 --out drawn")]
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
            DataCommand::Fetch(args) => args.run(),
            DataCommand::Info(args) => info(&args.data.load(Pictures::default())?, args.json),
            DataCommand::Head(args) => {
                let dataset = args.data.load(Pictures::default())?;
                let part = if args.test { &dataset.test } else { &dataset.train };
                table(part, 0, args.rows.min(part.len()))
            }
            DataCommand::Tail(args) => {
                let dataset = args.data.load(Pictures::default())?;
                let part = if args.test { &dataset.test } else { &dataset.train };
                table(part, part.len().saturating_sub(args.rows), part.len())
            }
            DataCommand::Show(args) => show(&args),
            DataCommand::Grid(args) => grid(&args),
            DataCommand::Compose(args) => composed(&args),
            DataCommand::Draw(args) => draw(&args),
        }
    }
}

impl Published {
    /// Where it is on this machine, if it is.
    fn found(self) -> Option<String> {
        match self {
            Self::FashionMnist => locate::load_official_offline().map(|dataset| dataset.source).ok(),
            Self::GarmentPhotos => locate::photos_folder().map(|folder| shown(&folder)).ok(),
        }
    }
}

impl FetchArgs {
    fn run(self) -> Result<()> {
        if self.out.is_none()
            && let Some(found) = self.dataset.found()
        {
            remark(format_args!("already here; --out FOLDER downloads it elsewhere"));
            return print_line(found);
        }
        locate::check_online()?;
        let folder = match self.dataset {
            Published::FashionMnist => {
                let folder = self.out.unwrap_or_else(locate::download_folder);
                fetch::fetch(&folder, &fetch::SOURCES, |line| remark(line)).map_err(|error| match error {
                    DatasetError::Missing(problem) => {
                        DatasetError::Missing(format!("{problem}\n{}", locate::where_to_put_them()))
                    }
                    other => other,
                })?;
                folder
            }
            Published::GarmentPhotos => {
                let folder = self.out.unwrap_or_else(locate::own_photos_folder);
                fetch_photos::fetch(&fetch_photos::GARMENT_PHOTOS, &folder, |line| remark(line))?;
                folder
            }
        };
        print_line(shown(&folder))
    }
}

fn info(dataset: &Dataset, json: bool) -> Result<()> {
    let parts = [("train", &dataset.train), ("test", &dataset.test)];
    if json {
        let classes = dataset.task.classes.len();
        let part = |samples: &Samples| {
            let (mean, spread) = samples.pixel_statistics();
            serde_json::json!({
                "images": samples.len(),
                "shape": shape_of(samples),
                "class_counts": samples.class_counts(classes),
                "pixel_mean": mean,
                "pixel_standard_deviation": spread,
            })
        };
        return print_json(&serde_json::json!({
            "dataset": dataset.name(),
            "source": dataset.source,
            "sha256": dataset.sha256,
            "task": dataset.task,
            "validation_images": dataset.validation.as_ref().map(|range| range.len()),
            "train": part(&dataset.train),
            "test": part(&dataset.test),
        }));
    }
    print_line(format_args!("data set  {} ({})", dataset.name(), dataset.source))?;
    print_line(format_args!("sha256    {}", dataset.sha256))?;
    for (name, samples) in parts {
        let (mean, spread) = samples.pixel_statistics();
        print_line(format_args!(
            "{name:<9} {} images {2}, as a table ({0}, {1}); pixels 0..=255, mean {mean:.2}, standard deviation {spread:.2}",
            samples.len(),
            samples.shape.len() + 1,
            samples.shape,
        ))?;
    }
    if let Some(range) = &dataset.validation {
        print_line(format_args!("          {} of the training images are kept for validation", range.len()))?;
    }
    print_line(format_args!("\n{:<3} {:<12} {:>7} {:>7}", "", "class", "train", "test"))?;
    let classes = &dataset.task.classes;
    let (train, test) = (dataset.train.class_counts(classes.len()), dataset.test.class_counts(classes.len()));
    for (index, label) in classes.iter().enumerate() {
        print_line(format_args!("{index:<3} {label:<12} {:>7} {:>7}", train[index], test[index]))?;
    }
    Ok(())
}

/// Images, height, width, and channels where there are three.
fn shape_of(samples: &Samples) -> Vec<usize> {
    let shape = samples.shape;
    let mut sizes = vec![samples.len(), shape.height, shape.width];
    sizes.extend((shape.channels > 1).then_some(shape.channels));
    sizes
}

/// Prints rows as pandas shows a wide frame: the first and last pixels, dots between.
fn table(samples: &Samples, from: usize, to: usize) -> Result<()> {
    const SHOWN: usize = 4;
    let values = samples.shape.len();
    let shown = SHOWN.min(values / 2);
    let left: Vec<usize> = (0..shown).collect();
    let right: Vec<usize> = (values - shown..values).collect();
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
    print_line(format_args!("\n[{} rows × {} columns, of {} rows]", to - from, values + 1, samples.len()))
}

fn show(args: &ShowArgs) -> Result<()> {
    let dataset = args.data.load(Pictures::default())?;
    let (part, name) = if args.test { (&dataset.test, "test") } else { (&dataset.train, "training") };
    let index = match args.index {
        Some(index) if index < part.len() => index,
        Some(index) => {
            let range = format!("--index {index}: the {name} part has images 0 to {}", part.len() - 1);
            return Err(Failure::Usage(range).into());
        }
        None => {
            let mut rng = match args.seed {
                Some(seed) => ChaCha8Rng::seed_from_u64(seed),
                None => ChaCha8Rng::from_rng(&mut rand::rng()),
            };
            rng.random_range(0..part.len())
        }
    };
    let (image, label) = (part.image(index), part.label(index));
    let name_of_class = dataset.task.name(label);
    if let Some(out) = &args.out {
        const ZOOM: usize = 10;
        png::write_image(out, part.shape, image, ZOOM)?;
        remark(format_args!("written: {}", shown(out)));
    }
    print_line(format_args!("{name} image {index}: {name_of_class} ({label})"))?;
    print_line(terminal::picture(part.shape, image, terminal::stdout_has_color()).trim_end_matches('\n'))
}

fn grid(args: &GridArgs) -> Result<()> {
    let dataset = args.data.load(Pictures::default())?;
    let part = if args.test { &dataset.test } else { &dataset.train };
    let count = (usize::from(args.rows) * usize::from(args.cols)).min(part.len());
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let chosen = rand::seq::index::sample(&mut rng, part.len(), count);
    let garments: Vec<Garment<'_>> = chosen
        .iter()
        .map(|at| Garment {
            shape: part.shape,
            image: part.image(at),
            label: dataset.task.name(part.label(at)),
        })
        .collect();
    garments::labelled(&garments, args.cols.into()).write(&args.out)?;
    print_line(shown(&args.out))
}

fn composed(args: &ComposeArgs) -> Result<()> {
    let dataset = args.data.load(Pictures::default())?;
    if dataset.task.preprocessing != Preprocessing::Garment {
        let problem = format!("{}: photographs are composed of images like Fashion-MNIST's", dataset.source);
        return Err(Failure::Usage(problem).into());
    }
    let test = dataset.test.take(args.images);
    for index in 0..test.len() {
        let name = file_part(dataset.task.name(test.label(index)));
        let path = args.out.join(format!("{index:05}-{name}.png"));
        compose::photo(test.image(index), index, args.seed).write(&path)?;
        print_line(shown(&path))?;
    }
    Ok(())
}

fn draw(args: &DrawArgs) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    for number in 0..args.per_class {
        for label in Label::ALL {
            let image = drawn::garment(label, &mut rng);
            let path = file_name(&args.out, label, number);
            png::write_image(&path, SHAPE, &image, 1).with_context(|| path.display().to_string())?;
            print_line(shown(&path))?;
        }
    }
    Ok(())
}

fn file_name(folder: &Path, label: Label, number: usize) -> PathBuf {
    folder.join(format!("{}-{}-{number}.png", label.index(), file_part(label.name())))
}

/// A class's name as part of a file's.
fn file_part(name: &str) -> String {
    name.to_lowercase().replace([' ', '/', '\\'], "-")
}
