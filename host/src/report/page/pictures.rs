//! What the network sees: answers, mistakes, photographs.

use maud::{Markup, html};

use super::Report;
use super::parts::{canvas, percent, photograph, thumbnail};
use crate::evaluate::compose;
use crate::report::canvas::Canvas;
use crate::report::garments;

/// Pictures of mistakes and photos shown at most.
const SHOWN: usize = 25;

impl Report<'_> {
    fn answers(&self, indices: &[usize]) -> Canvas {
        garments::answers(self.test, self.judgement, indices)
    }

    /// In words what a picture of answers shows, for those who cannot see it.
    fn in_words(&self, indices: &[usize]) -> String {
        let words: Vec<String> = indices
            .iter()
            .map(|&index| {
                format!(
                    "{} taken for {}",
                    self.task.name(self.test.label(index)),
                    self.task.name(self.judgement.predicted[index])
                )
            })
            .collect();
        words.join("; ")
    }

    pub(super) fn seen(&self) -> Markup {
        let worst = self.judgement.worst(SHOWN);
        let flips = self.float.map(|float| self.judgement.flips(float));
        html! {
            h3 { "Predictions" }
            figure {
                (canvas(&self.answers(self.chosen), &format!("Garments with the answers: {}", self.in_words(self.chosen))))
                figcaption { "Chosen by a seed, not by how they came out." }
            }
            h3 { "The worst mistakes" }
            @if worst.is_empty() { p { "There are none." } } @else {
                figure {
                    (canvas(&self.answers(&worst), &format!("Wrong answers with the highest probability: {}", self.in_words(&worst))))
                    figcaption { "Wrong answers by falling probability." }
                }
            }
            h3 { "int8 against float" }
            @match &flips {
                None => p { "The float file is not kept beside this model." },
                Some(flips) if flips.is_empty() => p { "int8 and float give every image the same class." },
                Some(flips) => {
                    p { (flips.len()) " of " (self.test.len()) " images get another class than from the float network." }
                    @let shown = &flips[..flips.len().min(SHOWN)];
                    figure { (canvas(&self.answers(shown), &format!("Images that int8 and float disagree on: {}", self.in_words(shown)))) }
                },
            }
        }
    }

    /// The worst mistakes, each photograph as it is and as the network sees it.
    fn mistaken_photographs(&self) -> Markup {
        let worst = self.judgement.worst(SHOWN);
        html! {
            p { "Wrong answers by falling probability: the photograph as it is, and what the network sees of it." }
            @if worst.is_empty() { p { "There are none." } }
            ul.misses {
                @for index in worst {
                    @let (label, predicted) = (self.task.name(self.test.label(index)), self.task.name(self.judgement.predicted[index]));
                    li {
                        @if let Some(path) = self.files.get(index) {
                            (photograph(path, &format!("Test photograph {index}, {label}")))
                        }
                        (thumbnail(self.task.input, self.test.image(index), &format!("What is seen of it, {label}")))
                        div { "No. " (index) ", " (label) }
                        div { "predicted: " span.wrong { (predicted) } ", " (percent(self.judgement.confidence[index])) }
                    }
                }
            }
        }
    }

    pub(super) fn photographs(&self) -> Markup {
        if !self.files.is_empty() {
            return self.mistaken_photographs();
        }
        let Some(photos) = self.photos else {
            return html! { p { "No photos were composed for this page." } };
        };
        html! {
            p {
                (photos.photos) " photograph-like pictures were composed of the first test images: 640×480 in colour, off the centre, dark on white or light on gray, tinted, with noise. "
                (percent(photos.as_original)) " get the class that their original gets, " (percent(photos.accuracy)) " the right one."
            }
            h3 { "All " (photos.misses.len()) " misses" }
            ul.misses {
                @for miss in &photos.misses {
                    @let image = self.test.image(miss.index);
                    @let label = self.task.name(miss.label.into());
                    li {
                        (thumbnail(self.task.input, image, &format!("Test image {}, {label}", miss.index)))
                        @if let Some((seen, _)) = compose::photo(image, miss.index, photos.seed).to_input(self.task) {
                            (thumbnail(self.task.input, &seen, &format!("What is seen in its photo, {label}")))
                        }
                        div { "No. " (miss.index) ", " (label) }
                        div { "original: " span.right[miss.original == usize::from(miss.label)] { (self.task.name(miss.original)) } }
                        div { "photo: " span.wrong[miss.photo != usize::from(miss.label)] { (self.task.name(miss.photo)) } }
                    }
                }
            }
        }
    }
}
