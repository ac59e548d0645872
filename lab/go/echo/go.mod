// The lab's own images: a test server and a pause program, standard library only.
module lbctl/lab/echo

go 1.26.0
