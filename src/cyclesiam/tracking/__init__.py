"""Following targets: the step, the tracker that people use, its results and their drawing."""
