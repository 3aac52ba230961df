"""Prints scikit-learn's classification report of a predictions.csv: FILE DIGITS NAME…"""

import csv
import sys

from sklearn.metrics import classification_report

path, digits, *names = sys.argv[1:]
with open(path, newline="") as file:
    rows = list(csv.DictReader(file))
labels = [int(row["label"]) for row in rows]
predicted = [int(row["predicted"]) for row in rows]
print(
    classification_report(
        labels, predicted, labels=range(10), target_names=names, digits=int(digits), zero_division=0
    ),
    end="",
)
