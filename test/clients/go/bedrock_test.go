// The AWS SDK for Go against Sluice, unchanged but for the variables in the environment. bedrock-go.proof.test.ts compiles
// and runs it.
package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
)

const (
	nova    = "us.amazon.nova-lite-v1:0"
	novaArn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + nova
	llama8b = "us.meta.llama3-1-8b-instruct-v1:0"
	// Answers after seconds, one call at a time.
	slow = "us.meta.llama3-3-70b-instruct-v1:0"
)

func client(t *testing.T, options ...func(*bedrockruntime.Options)) *bedrockruntime.Client {
	t.Helper()
	loaded, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return bedrockruntime.NewFromConfig(loaded, options...)
}

func attempts(count int) func(*bedrockruntime.Options) {
	return func(options *bedrockruntime.Options) { options.RetryMaxAttempts = count }
}

func messages(prompt string) []types.Message {
	content := []types.ContentBlock{&types.ContentBlockMemberText{Value: prompt}}
	return []types.Message{{Role: types.ConversationRoleUser, Content: content}}
}

func converse(model string, prompt string) *bedrockruntime.ConverseInput {
	inference := &types.InferenceConfiguration{MaxTokens: aws.Int32(60)}
	return &bedrockruntime.ConverseInput{ModelId: &model, Messages: messages(prompt), InferenceConfig: inference}
}

func converseStream(model string, prompt string) *bedrockruntime.ConverseStreamInput {
	inference := &types.InferenceConfiguration{MaxTokens: aws.Int32(60)}
	return &bedrockruntime.ConverseStreamInput{ModelId: &model, Messages: messages(prompt), InferenceConfig: inference}
}

func checkAnswer(t *testing.T, answer *bedrockruntime.ConverseOutput) {
	t.Helper()
	message := answer.Output.(*types.ConverseOutputMemberMessage).Value
	checkText(t, message.Content[0].(*types.ContentBlockMemberText).Value)
	if *answer.Usage.OutputTokens < 5 {
		t.Errorf("usage: %d output tokens", *answer.Usage.OutputTokens)
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(text, "synthetic") {
		t.Errorf("not an answer of the simulator: %q", text)
	}
}

// read returns the text of a stream, and the types of events that the SDK does not know.
func read(t *testing.T, answer *bedrockruntime.ConverseStreamOutput) (string, []string) {
	t.Helper()
	stream := answer.GetStream()
	defer stream.Close()
	var text strings.Builder
	var unknown []string
	for event := range stream.Events() {
		switch event := event.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			text.WriteString(event.Value.Delta.(*types.ContentBlockDeltaMemberText).Value)
		case *types.UnknownUnionMember:
			unknown = append(unknown, event.Tag)
		}
	}
	if err := stream.Err(); err != nil {
		t.Error(err)
	}
	return text.String(), unknown
}

// calls returns how often Bedrock was called with a prompt.
func calls(t *testing.T, prompt string) int {
	t.Helper()
	count := 0
	for _, simulator := range strings.Fields(os.Getenv("SIMULATOR_URLS")) {
		response, err := http.Get(simulator + "/__simulator/journal")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var journal struct{ Calls []struct{ Prompt string } }
		if err := json.NewDecoder(response.Body).Decode(&journal); err != nil {
			t.Fatal(err)
		}
		for _, call := range journal.Calls {
			if call.Prompt == prompt {
				count++
			}
		}
	}
	return count
}

func checkOneCall(t *testing.T, prompt string) {
	t.Helper()
	if count := calls(t, prompt); count != 1 {
		t.Errorf("Bedrock was called %d times", count)
	}
}

// tries counts the requests that the SDK sends.
type tries struct {
	client aws.HTTPClient
	header http.Header
	count  int
}

func (t *tries) Do(request *http.Request) (*http.Response, error) {
	t.count++
	for name, values := range t.header {
		request.Header[name] = values
	}
	return t.client.Do(request)
}

func TestConverse(t *testing.T) {
	for _, model := range []string{"nova", "amazon.nova-lite-v1:0", nova, novaArn} {
		answer, err := client(t).Converse(context.Background(), converse(model, "Why is the sky blue?"))
		if err != nil {
			t.Fatal(model, err)
		}
		checkAnswer(t, answer)
	}
}

func TestConverseStream(t *testing.T) {
	answer, err := client(t).ConverseStream(context.Background(), converseStream(nova, "Why?"))
	if err != nil {
		t.Fatal(err)
	}
	text, unknown := read(t, answer)
	checkText(t, text)
	if len(unknown) > 0 {
		t.Errorf("unknown events: %v", unknown)
	}
}

func TestInvokeModel(t *testing.T) {
	body := []byte(`{"prompt": "Why?", "max_gen_len": 60}`)
	answer, err := client(t).InvokeModel(context.Background(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(llama8b), Body: body})
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, string(answer.Body))
	if *answer.ContentType != "application/json" {
		t.Error(*answer.ContentType)
	}
}

func TestInvokeModelWithResponseStream(t *testing.T) {
	input := &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(llama8b), Body: []byte(`{"prompt": "Why?", "max_gen_len": 60}`)}
	answer, err := client(t).InvokeModelWithResponseStream(context.Background(), input)
	if err != nil {
		t.Fatal(err)
	}
	stream := answer.GetStream()
	defer stream.Close()
	var text strings.Builder
	for event := range stream.Events() {
		if chunk, ok := event.(*types.ResponseStreamMemberChunk); ok {
			text.Write(chunk.Value.Bytes)
		}
	}
	if err := stream.Err(); err != nil {
		t.Error(err)
	}
	checkText(t, text.String())
}

func TestCountTokens(t *testing.T) {
	input := &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: messages("Why is the sky blue?")}}
	answer, err := client(t).CountTokens(context.Background(), &bedrockruntime.CountTokensInput{ModelId: aws.String(nova), Input: input})
	if err != nil {
		t.Fatal(err)
	}
	if *answer.InputTokens < 5 {
		t.Error(*answer.InputTokens)
	}
}

func TestErrorsHaveTheirTypesAndAreNotRepeated(t *testing.T) {
	counted := &tries{client: awshttp.NewBuildableClient()}
	bedrock := client(t, func(options *bedrockruntime.Options) { options.HTTPClient = counted })
	_, err := bedrock.Converse(context.Background(), converse("amazon.titan-text-lite-v1", "Why?"))
	var unknown *types.ResourceNotFoundException
	if !errors.As(err, &unknown) || !strings.Contains(unknown.ErrorMessage(), "amazon.nova-lite-v1:0") {
		t.Errorf("unknown model: %v", err)
	}
	_, err = bedrock.Converse(context.Background(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: []types.Message{}})
	var invalid *types.ValidationException
	if !errors.As(err, &invalid) {
		t.Errorf("no messages: %v", err)
	}
	if counted.count != 2 {
		t.Errorf("%d requests", counted.count)
	}
}

func TestAWrongKeyIsRefused(t *testing.T) {
	t.Setenv("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjPLANTEDTOKEN")
	_, err := client(t).Converse(context.Background(), converse(nova, "Why?"))
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "UnrecognizedClientException" {
		t.Error(err)
	}
}

// The SDK passes waiting frames on as events of an unknown type, which a switch over types ignores.
func TestAStreamWaitsInTheQueue(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	var lock sync.Mutex
	waits := 0
	for i := range 2 {
		group.Add(1)
		go func() {
			defer group.Done()
			prompt := fmt.Sprintf("stream %d %d", i, time.Now().UnixNano())
			answer, err := client(t).ConverseStream(context.Background(), converseStream(slow, prompt))
			if err != nil {
				t.Error(err)
				return
			}
			text, unknown := read(t, answer)
			checkText(t, text)
			checkOneCall(t, prompt)
			lock.Lock()
			defer lock.Unlock()
			for _, tag := range unknown {
				waits++
				if tag != "sluiceWaiting" {
					t.Errorf("unknown event %s", tag)
				}
			}
		}()
	}
	group.Wait()
	if waits == 0 {
		t.Error("no stream has waited")
	}
}

func TestACallThatIsHeldTooLongIsRepeatedAndRunsOnce(t *testing.T) {
	t.Parallel()
	held := &tries{client: awshttp.NewBuildableClient(), header: http.Header{"X-Sluice-Max-Wait": {"1"}}}
	bedrock := client(t, attempts(20), func(options *bedrockruntime.Options) { options.HTTPClient = held })
	prompt := fmt.Sprintf("hold %d", time.Now().UnixNano())
	answer, err := bedrock.Converse(context.Background(), converse(slow, prompt))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, answer)
	if held.count < 2 {
		t.Error("the call was not repeated")
	}
	checkOneCall(t, prompt)
}

func TestACallThatOutlivesItsTimeoutThreeTimesRunsOnce(t *testing.T) {
	t.Parallel()
	impatient := &tries{client: awshttp.NewBuildableClient().WithTimeout(time.Second)}
	bedrock := client(t, attempts(20), func(options *bedrockruntime.Options) { options.HTTPClient = impatient })
	prompt := fmt.Sprintf("time out %d", time.Now().UnixNano())
	answer, err := bedrock.Converse(context.Background(), converse("slower", prompt))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, answer)
	if impatient.count < 4 {
		t.Errorf("%d requests", impatient.count)
	}
	checkOneCall(t, prompt)
}
