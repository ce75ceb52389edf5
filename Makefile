# make only calls scripts/: each target has its plain command in the README.
.PHONY: demo test lock docs
demo:
	scripts/demo
test:
	scripts/test
lock:
	scripts/lock
docs:
	scripts/docs
