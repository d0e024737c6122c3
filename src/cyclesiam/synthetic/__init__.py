"""Made video: the demo clip, pasted cut-outs, and stills that a camera pans over."""
